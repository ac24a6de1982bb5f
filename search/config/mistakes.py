"""Mistakes of a configuration, one line each: where it was said, the key's path, and what it should be.

`tomllib` tells nobody in which line a key stands: `key_lines` finds out.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, time
from pathlib import PurePath
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from search.config.schema import Config

Location = tuple[int | str, ...]
# A check that spans settings has no place of its own; its message begins with the setting that it blames.
_BLAMED = re.compile(r"([a-z0-9_]+(?:\.[a-z0-9_]+)+): ")
_WORDS = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list, such as [1, 2]"),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "a table"),
    "string_type": "a text in quotes",
    "path_type": "a path in quotes",
    "finite_number": "a finite number",
    "literal_error": "{expected}",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "missing": "a value",
    "too_short": "at least one",
}
"""What was expected, by pydantic's type of the mistake."""
_MOST_LINES = 2_000


def error_lines(error: ValidationError, *, file: str | None, text: str, origins: Mapping[str, str]) -> Iterator[str]:
    """Each mistake as a line.

    Args:
        error: What pydantic found in the merged configuration.
        file: Name of the file, None where there was none.
        text: The file's content.
        origins: Dotted path of each value that beats the file, to how the user gave it, for example "--max-trials".

    Yields:
        For example ``tuner_config.toml:12: search.max_trails: unknown key; did you mean 'max_trials'?``.
    """
    lines = key_lines(text)
    items = error.errors()
    found: list[tuple[int, str]] = []
    for item in items:
        # A list whose items are all wrong counts as empty as well.
        if item["type"] == "too_short" and any(other["loc"][:-1] == item["loc"] for other in items):
            continue
        location, message = item["loc"], plain_message(item)
        if item["type"] == "extra_forbidden":
            message += nearest(location)
        if len(location) < 2 and (blamed := _BLAMED.match(message)):
            location = tuple(blamed[1].split("."))
            message = message[blamed.end() :]
        path = ".".join(str(part) for part in location)
        where, line = _where(location, message, file, lines, origins)
        found.append((line, f"{where}: {path}: {message}" if path else f"{where}: {message}"))
    # Flags first, then the file from top to bottom.
    yield from (line for _, line in sorted(found, key=lambda each: each[0]))


def nearest(location: Location) -> str:
    """What an unknown key may have been meant for, as the end of a sentence."""
    model = _model_at(location[:-1])
    if model is None:
        return ""
    key, known = str(location[-1]), list(model.model_fields)
    if elsewhere := _sections_with(key):
        return f"; it belongs to {elsewhere}"
    if close := difflib.get_close_matches(key, known, n=1):
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(known)}"


def plain_message(item: ErrorDetails) -> str:
    """What pydantic found, as it is said to a person: what was expected, and what was found."""
    if item["type"] == "extra_forbidden":
        return "unknown key"
    if (words := _WORDS.get(item["type"])) is None:  # mostly one of the schema's own checks, which say both
        return item["msg"].removeprefix("Value error, ").replace("Input should be ", "expected ")
    limits = {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in item.get("ctx", {}).items()}
    message = f"expected {words.format(**limits)}; found "
    if item["type"] in ("missing", "too_short"):
        return f"{message}none"
    close = []
    if item["type"] == "literal_error":
        close = difflib.get_close_matches(str(item["input"]).lower(), re.findall(r"'([^']*)'", message), n=1)
    return f"{message}{_shown(item['input'])}" + (f"; did you mean {close[0]!r}?" if close else "")


def _shown(value: Any) -> str:
    """A value as TOML has it, or nearly so."""
    if isinstance(value, dict | BaseModel):
        return "a table"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(str(value) if isinstance(value, PurePath | date | time) else value)
    return text if len(text) <= 80 else text[:79] + "…"


def _where(
    location: Location, message: str, file: str | None, lines: Mapping[Location, int], origins: Mapping[str, str]
) -> tuple[str, int]:
    """The flag, or the file with its line, that gave the value, and the line; flags first, for they beat the file."""
    parts = tuple(str(part) for part in location)
    for dotted, origin in origins.items():
        given = tuple(dotted.split("."))
        # A check of a whole table names the keys that it compares; a table that the file lacks is the flag's own.
        within = bool(parts) and parts == given[: len(parts)]
        blamed = location not in lines or re.search(rf"\b{re.escape(given[-1])}\b", message)
        if (within and blamed) or given == parts[: len(given)]:
            return origin, 0
    for length in range(len(location), 0, -1):
        if line := lines.get(location[:length]):
            return f"{file}:{line}", line
    return file or "configuration", 0


def _model_at(location: Location) -> type[BaseModel] | None:
    model: type[BaseModel] = Config
    for part in location:
        if isinstance(part, int):
            continue  # an item of a list: the model is the list's
        field = model.model_fields.get(part)
        below = _model_in(field.annotation) if field else None
        if below is None:
            return None
        model = below
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, list, Union, UnionType):
        return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
    return None


def _sections_with(key: str) -> str:
    """Sections that do have a key of this name: it was put into the wrong one, or before the first."""
    named = (name for name in Config.model_fields if (model := _model_at((name,))) and key in model.model_fields)
    return " or ".join(f"[{name}]" for name in named)


def key_lines(text: str) -> dict[Location, int]:
    """The first line of the statement that sets each key, table and list item.

    A text is cut off after each of its lines and parsed: what a longer piece holds and a shorter one does not stands
    between their ends. So the parser alone decides what a key is, dotted, quoted, inline or over several lines; that
    takes a tenth of a second for some hundred lines, and is only asked for once there is an error to show.

    Args:
        text: A whole TOML document that `tomllib` can parse.

    Returns:
        Path of the key, list positions as integers, to its line, from 1; nothing for a text of more than 2,000 lines.
    """
    found: dict[Location, int] = {}
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


def _paths(value: Any, path: Location) -> list[Location]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [found for key, item in items for found in _paths(item, (*path, key))]
    return [path, *below] if path else below
