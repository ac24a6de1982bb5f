"""Reading a configuration: defaults, the file over them, and what a command or a call gave over the file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from search.config.mistakes import error_lines
from search.config.schema import Config, demo_config
from search.errors import ConfigError

DEFAULT_FILE = Path("tuner_config.toml")

_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$")

SETTINGS = {
    "max_trials": "search.max_trials",
    "max_minutes": "search.max_minutes",
    "data": "data.path",
    "info": "data.info",
    "mode": "data.mode",
    "protocol": "split.protocol",
    "backbone": "backbone.name",
    "weights": "backbone.weights",
    "image_size": "preparation.image_size",
    "folds": "search.folds",
    "split": "split.file",
    "seed": "search.seed",
    "embed_images": "report.embed_images",
}
"""An option of a command, and a keyword of `search.run`, to the setting that it is."""


def resolve(
    options: Mapping[str, Any],
    assignments: Mapping[str, Any],
    *,
    file: Path | None = None,
    demo: bool = False,
    spelled: Callable[[str], str] = str,
) -> Config:
    """The configuration that was asked for: the defaults, the file over them, options and assignments over the file.

    Args:
        options: Names of `SETTINGS` to values, None or False where they were not given; others are left aside.
        assignments: Values by dotted path.
        file: The file; by default ./tuner_config.toml where it is.
        demo: Whether the demonstration's settings stand in place of the defaults, and of ./tuner_config.toml.
        spelled: How the user writes an option, for example "--max-trials"; assignments are its "set".

    Raises:
        ConfigError: If anything is wrong with them; each line names the option or the line of the file.
    """
    if demo and (options.get("data") or options.get("info")):
        raise ConfigError(
            expected=f"{spelled('demo')} or {spelled('data')}",
            found="both",
            remedy=f"Leave one out: {spelled('demo')} draws its films.",
        )
    # A flag that was not given is False; 0 is a value.
    named = {name: options.get(name) for name in SETTINGS}
    given = {name: value for name, value in named.items() if value is not None and value is not False}
    values = {SETTINGS[name]: value for name, value in given.items()}
    origins = {SETTINGS[name]: spelled(name) for name in given}
    for path in assignments:
        if path in values:
            raise ConfigError(
                expected=f"one value for {path}",
                found=f"{origins[path]} and {spelled('set')} {path}",
                remedy="Leave one out.",
            )
        origins[path] = spelled("set")
    if file is None and not demo and DEFAULT_FILE.is_file():
        file = DEFAULT_FILE
    return load_config(file, {**values, **assignments}, base=demo_config() if demo else None, origins=origins)


def load_config(
    path: Path | None,
    overrides: Mapping[str, Any] | None = None,
    *,
    base: Config | None = None,
    origins: Mapping[str, str] | None = None,
) -> Config:
    """Read a configuration file and put the command line's values over it.

    Tables are merged key by key, so that ``space.dropout.max`` alone can be changed; lists are replaced as a whole.

    Args:
        path: The file; None for none.
        overrides: Values by dotted path, for example ``{"search.max_trials": 40}``.
        base: What the file and the overrides change, instead of the defaults.
        origins: How the user gave an override, by its path, for example "--max-trials"; errors name it.

    Returns:
        The resolved configuration.

    Raises:
        ConfigError: If the file can't be read, is no TOML, has unknown keys or values out of range: one line each.
    """
    overrides = overrides or {}
    origins = {dotted: (origins or {}).get(dotted, "command line") for dotted in overrides}
    text = _read(path) if path is not None else ""
    table: dict[str, Any] = (base or Config()).model_dump()
    if path is not None:
        _merge(table, _parsed(path, text))
    for dotted, value in overrides.items():
        _put(table, dotted, value, origins[dotted])
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        lines = error_lines(error, file=str(path) if path else None, text=text, origins=origins)
        raise ConfigError.from_lines("\n".join(lines)) from None


def _merge(table: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(table.get(key), dict):
            _merge(table[key], value)
        else:
            table[key] = value


def _put(table: dict[str, Any], dotted: str, value: Any, origin: str) -> None:
    *tables, key = dotted.split(".")
    place = table
    for depth, name in enumerate(tables, start=1):
        below = place.setdefault(name, {})
        if not isinstance(below, dict):
            setting = ".".join(tables[:depth])
            raise ConfigError.from_lines(f"{origin}: {setting}: expected a table; found a setting without parts")
        place = below
    if isinstance(value, dict) and isinstance(place.get(key), dict):
        _merge(place[key], value)
    else:
        place[key] = value


def _read(path: Path) -> str:
    try:
        # Windows' own editors begin a file with a byte order mark.
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(
            expected="a readable configuration file", found=f"{path}: {error.strerror}", remedy="Check --config."
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError.from_lines(
            f"{path}: expected a TOML file in UTF-8; found other bytes at position {error.start}; save it as UTF-8"
        ) from None


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError.from_lines(f"{path}: expected TOML; found: tables nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        message, line = str(error), len(text.splitlines())
        if place := _LINE.search(message):
            message, line = f"{message[: place.start()]} in column {place[2]}", int(place[1])
        message = message.removesuffix(" (at end of document)")
        raise ConfigError.from_lines(f"{path}:{line}: expected TOML; found: {message}") from None
