"""Which settings make a run what it is, and what has changed between two configurations.

A run may only be resumed with what it was started with; what doesn't change results is left out of the comparison:
budgets of disk and time, and where things lie, for the data, the split and the weights have fingerprints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search.config.schema import Config

RESULTS_VERSION = 1
"""Raise it with every change to the code that changes the results of a search."""

_FREE_SECTIONS = {"output", "cache", "report"}
_FREE_SETTINGS = {
    "search.max_minutes",
    "split.file",
    "data.path",
    "data.info",
    "data.accept_problems",
    "backbone.weights",
}


def result_settings(config: Config) -> dict[str, Any]:
    """The settings that results depend on, by dotted path, as JSON values."""
    flat: dict[str, Any] = {}
    for section, settings in config.model_dump(mode="json").items():
        if section not in _FREE_SECTIONS:
            flat |= _flat(section, settings)
    return {path: value for path, value in flat.items() if path not in _FREE_SETTINGS}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Each difference as "path old → new", sorted by path."""
    paths = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
    return [f"{path} {_short(before.get(path))} → {_short(now.get(path))}" for path in paths]


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    result: dict[str, Any] = {}
    for key, item in value.items():
        result |= _flat(f"{prefix}.{key}", item)
    return result


def _short(value: Any) -> str:
    text = str(value)
    # Both ends: long lists often differ at one of them only.
    return f"{text[:16]}…{text[-16:]}" if len(text) > 40 else text
