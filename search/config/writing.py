"""Configurations as TOML: every setting written out, or the commented tuner_config.toml with the values put into it."""

from __future__ import annotations

import re
from collections.abc import Container
from importlib import resources
from pathlib import Path
from typing import Any

import tomlkit

from search.config.schema import Config

NAME = "tuner_config.toml"
_SECTION = re.compile(r"\[([a-z0-9_]+)\]")
# A setting that is off by default.
_OFF = re.compile(r"# ([a-z0-9_]+) = ")
# With the lines that go on with its comment.
_SETTING = re.compile(r"^(?:# )?([a-z0-9_]+) = .*(?:\n +#.*)*", re.MULTILINE)
# Before a table's advanced settings, and before the tables that have no others.
_ADVANCED, _ADVANCED_TABLES = "\n# advanced\n", "# ADVANCED"
_COMMENT_COLUMN = 30


def to_toml(config: Config) -> str:
    """The configuration as TOML, every setting written out; reading it gives an equal one.

    The name of a run without one is a digest of this text: it stays as it is, byte by byte.
    """
    lines: list[str] = []
    for name, section in config.model_dump(mode="json").items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {toml_value(value)}" for key, value in section.items() if value not in (None, [])]
        lines.append("")
    return "\n".join(lines)


def toml_value(value: Any) -> str:
    """A JSON value as it stands behind ``key =``, tables in one line; None is left out of them."""
    if isinstance(value, dict):
        items = (f"{key} = {toml_value(item)}" for key, item in value.items() if item is not None)
        return "{ " + ", ".join(items) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return tomlkit.item(value).as_string()


def shipped_text() -> str:
    """The commented file with all defaults: beside the code where it was installed, above it in a source tree."""
    packaged = resources.files("search").joinpath(NAME)
    return (packaged if packaged.is_file() else Path(__file__).parents[2] / NAME).read_text(encoding="utf-8")


def commented_toml(config: Config, *, advanced: bool = False) -> str:
    """The shipped text with the values of a configuration; reading it gives an equal configuration.

    A line whose value is the shipped one stays as it is, byte by byte.

    Args:
        config: The configuration.
        advanced: Whether advanced settings are in it that have their defaults; the others always are.
    """
    values: dict[str, Any] = config.model_dump(mode="json")
    defaults = Config().model_dump(mode="json")
    changed = {(name, key) for name, table in values.items() for key in table if table[key] != defaults[name][key]}
    text = shipped_text() if advanced else _without_advanced(shipped_text(), changed)
    section, lines = "", []
    for line in text.splitlines(keepends=True):
        if header := _SECTION.match(line):
            section = header[1]
        elif (off := _OFF.match(line)) and values[section].get(off[1]):
            line = line.removeprefix("# ")
        lines.append(line)
    document = tomlkit.parse("".join(lines))
    for name, shipped in document.unwrap().items():
        table: Any = document[name]
        for key in (key for key, value in shipped.items() if value != values[name][key]):
            table[key] = tomlkit.value(text := toml_value(values[name][key]))
            # A replaced value keeps its comment, which then moves.
            trivia = table.value.item(key).trivia
            trivia.comment_ws = " " * max(0, _COMMENT_COLUMN - len(f"{key} = {text}"))
    return tomlkit.dumps(document)


def _without_advanced(text: str, wanted: Container[tuple[str, str]]) -> str:
    """The shipped text without its advanced settings but the wanted ones, by section and key."""
    usual, _, advanced = text.partition(_ADVANCED_TABLES)
    paragraphs = [(paragraph, _ADVANCED) for paragraph in usual.strip().split("\n\n")]
    paragraphs += [(paragraph, "\n") for paragraph in advanced.strip().split("\n\n")[1:]]
    found = []
    for paragraph, mark in paragraphs:
        section = _SECTION.match(paragraph)
        head, _, settings = paragraph.partition(mark)
        kept = [each[0] for each in _SETTING.finditer(settings) if section and (section[1], each[1]) in wanted]
        if kept:
            found.append(head + mark + "\n".join(kept))
        elif mark == _ADVANCED:
            found.append(head)
    return "\n\n".join(found) + "\n"
