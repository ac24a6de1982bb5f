"""In which line of a TOML text each key stands; `tomllib` tells nobody."""

from __future__ import annotations

import tomllib
from typing import Any

Path = tuple[str | int, ...]

_MOST_LINES = 2_000


def key_lines(text: str) -> dict[Path, int]:
    """The first line of the statement that sets each key, table and list item.

    A text is cut off after each of its lines and parsed: what a longer piece holds and a shorter one does not stands
    between their ends. So the parser alone decides what a key is, dotted, quoted, inline or over several lines; that
    takes a tenth of a second for some hundred lines, and is only asked for once there is an error to show.

    Args:
        text: A whole TOML document that `tomllib` can parse.

    Returns:
        Path of the key, list positions as integers, to its line, from 1; nothing for a text of more than 2,000 lines.
    """
    found: dict[Path, int] = {}
    lines = text.split("\n")
    if len(lines) > _MOST_LINES:
        return found
    begins: int | None = None
    for number, line in enumerate(lines, start=1):
        if begins is None:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            begins = number
        try:
            parsed = tomllib.loads("\n".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue  # the statement goes on in the next line
        for path in _paths(parsed, ()):
            found.setdefault(path, begins)
        begins = None
    return found


def _paths(value: Any, path: Path) -> list[Path]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    below = [found for key, item in items for found in _paths(item, (*path, key))]
    return [path, *below] if path else below
