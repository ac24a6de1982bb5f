"""From a command's flags to the configuration: defaults, the file over them, flags and --set over the file."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.completion import complete_setting
from search.errors import ConfigError

if TYPE_CHECKING:
    from search.config.schema import Config

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any other: space.dropout.max=0.6",
        autocompletion=complete_setting,
    ),
]


def resolve_settings(
    flags: Mapping[str, tuple[str, Any]],
    assignments: Sequence[str] | None = None,
    *,
    file: Path | None = None,
    base: Config | None = None,
) -> Config:
    """The configuration of a command.

    Args:
        flags: Flag to (the setting's path, the value given; None where it was not), for example
            ``{"--max-trials": ("search.max_trials", 40)}``.
        assignments: What --set was given.
        file: What --config was given; without it ./tuner_config.toml is read where it is, unless there is a ``base``.
        base: What file and flags change, instead of the defaults.

    Raises:
        ConfigError: If anything is wrong with them; each line names the flag or the line of the file.
    """
    from search.config.reading import DEFAULT_FILE, load_config

    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for flag, (path, value) in flags.items():
        if value is not None:
            values[path], origins[path] = value, flag
    for assignment in assignments or ():
        path, value = parse_assignment(assignment)
        if path in values and origins[path] != "--set":
            raise ConfigError(
                expected=f"one value for {path}", found=f"{origins[path]} and --set {path}", remedy="Leave one out."
            )
        values[path], origins[path] = value, "--set"
    if file is None and base is None and DEFAULT_FILE.is_file():
        file = DEFAULT_FILE
    return load_config(file, values, base=base, origins=origins)


def parse_assignment(text: str) -> tuple[str, Any]:
    """Path and value of ``path=value``.

    The value is read as TOML; what is no TOML is taken as it stands, so that text needs no quotes.

    Raises:
        ConfigError: If it is no assignment to a setting.
    """
    path, sign, written = (part.strip() for part in text.partition("="))
    if not (path and sign and written) or not all(path.split(".")):
        raise ConfigError(
            expected="--set KEY=VALUE", found=repr(text), remedy="For example: --set space.dropout.max=0.6"
        )
    if "." not in path:
        raise ConfigError(
            expected="the path of a setting, as --set search.max_trials=40",
            found=repr(text),
            remedy="Put its section before it; `mammo-search init` writes a file with all of them.",
        )
    try:
        table = tomllib.loads(f"value = {written}")
    except tomllib.TOMLDecodeError:
        return path, written
    value = table["value"]
    if len(table) > 1 or isinstance(value, datetime.date | datetime.time):
        return path, written
    return path, value
