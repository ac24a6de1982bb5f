"""What the README of the command line says of the answers to --json, and whether an answer is so."""

from __future__ import annotations

import re
from typing import Any

from tests.conftest import ROOT

_TOKEN = re.compile(r"[{}\[\]:,]|[\w*?]+")


def described_answers() -> dict[str, str]:
    """Command to the shape of its answer, from its section."""
    text = (ROOT / "search" / "cli" / "README.md").read_text(encoding="utf-8")
    section = re.search(r"^## Answers\n.*?```\n(.*?)```", text, re.MULTILINE | re.DOTALL)
    assert section
    shapes: dict[str, str] = {}
    for line in section[1].splitlines():
        command, shape = line[:15].strip(), line[15:]
        if command:
            shapes[command] = ""
            last = command
        shapes[last] += shape
    return shapes


def assert_described(command: str, answer: Any) -> None:
    """An answer has the keys that the README lists, and no others."""
    tokens = _TOKEN.findall(described_answers()[command])
    shape = _shape(tokens)
    assert not tokens, f"the README's shape of {command} goes on after its end"
    _compare(shape, answer, command)


def _shape(tokens: list[str]) -> Any:
    opening = tokens.pop(0)
    if opening == "[":
        shape = [_shape(tokens)]
        assert tokens.pop(0) == "]"
        return shape
    assert opening == "{"
    keys: dict[str, Any] = {}
    while tokens[0] != "}":
        name = tokens.pop(0)
        keys[name] = None
        if tokens[0] == ":":
            tokens.pop(0)
            keys[name] = _shape(tokens)
        if tokens[0] == ",":
            tokens.pop(0)
    tokens.pop(0)
    return keys


def _compare(shape: Any, answer: Any, where: str) -> None:
    if answer is None:
        return
    if shape is None:
        parts = answer if isinstance(answer, list) else [answer]
        assert not any(isinstance(part, dict) for part in parts), f"{where} has keys that are not described"
    elif isinstance(shape, list):
        assert isinstance(answer, list), where
        for position, part in enumerate(answer):
            _compare(shape[0], part, f"{where}[{position}]")
    else:
        assert isinstance(answer, dict), where
        if "*" in shape:
            return
        known = {name.removesuffix("?"): below for name, below in shape.items()}
        needed = {name for name in shape if not name.endswith("?")}
        assert needed <= set(answer) <= set(known), (where, set(answer) ^ set(known))
        for name, part in answer.items():
            _compare(known[name], part, f"{where}.{name}")
