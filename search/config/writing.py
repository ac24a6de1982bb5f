"""Writing a configuration as TOML."""

from __future__ import annotations

from typing import Any

from search.config.schema import Config


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
