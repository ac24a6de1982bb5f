"""Writing a configuration as TOML.

The commented tuner_config.toml: the one that is shipped, with the values of a configuration put into it.
"""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from search.config.schema import Config

NAME = "tuner_config.toml"
# `key = value   # comment`, or `# key = value   # comment` for a setting that is off by default.
_SETTING = re.compile(r"(?P<off># )?(?P<key>[a-z0-9_]+) = (?P<rest>.*)")
_SECTION = re.compile(r"\[(?P<name>[a-z0-9_]+)\]")
_COMMENT_COLUMN = 30


def to_toml(config: Config) -> str:
    """The configuration as TOML, every setting written out; reading it gives an equal one."""
    lines: list[str] = []
    for name, section in config.model_dump(mode="json").items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {toml_value(value)}" for key, value in section.items() if value not in (None, [])]
        lines.append("")
    return "\n".join(lines)


def toml_value(value: Any) -> str:
    """A JSON value as it stands behind ``key =``; keys of None are left out of tables."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        items = (f"{key} = {toml_value(item)}" for key, item in value.items() if item is not None)
        return "{ " + ", ".join(items) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + "".join(_escaped(character) for character in value) + '"'
    return repr(value)


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    # TOML allows no control character but the tab in a string.
    return f"\\u{ord(character):04X}" if ord(character) < 32 or ord(character) == 127 else character


def shipped_text() -> str:
    """The commented file with all defaults: beside the code where it was installed, above it in a source tree."""
    packaged = resources.files("search").joinpath(NAME)
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[1] / NAME).read_text(encoding="utf-8")


def commented_toml(config: Config) -> str:
    """The shipped text with the values of a configuration; reading it gives an equal configuration.

    A line whose value is the shipped one stays as it is, byte by byte.
    """
    values: dict[str, Any] = config.model_dump(mode="json", exclude_none=True)
    section, written = "", []
    for line in shipped_text().splitlines():
        if header := _SECTION.match(line):
            section = header["name"]
        elif setting := _SETTING.match(line):
            line = _setting_line(line, setting, values[section].get(setting["key"]))
        written.append(line)
    return "\n".join(written) + "\n"


def _setting_line(line: str, setting: re.Match[str], value: Any) -> str:
    shipped, comment = _value_and_comment(setting["rest"])
    if setting["off"]:
        if value is None or value == []:
            return line
    elif value == shipped:
        return line
    elif value is None:  # unset, though the shipped file sets it
        return f"# {line}"
    return f"{setting['key']} = {toml_value(value)}".ljust(_COMMENT_COLUMN) + (comment and f"# {comment}")


def _value_and_comment(rest: str) -> tuple[Any, str]:
    """A value, and the comment behind it: a "#" in the value's own text does not begin one."""
    for position in (*(place for place, character in enumerate(rest) if character == "#"), len(rest)):
        try:
            value = tomllib.loads(f"value = {rest[:position]}")["value"]
        except tomllib.TOMLDecodeError:
            continue
        return value, rest[position + 1 :].strip()
    return None, ""
