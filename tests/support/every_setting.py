"""Settings with one value changed, for each value that there is: whatever is made of all of them has to notice each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from search.config.reading import load_config
from search.config.schema import Config

CONFIG = load_config(None, {"space.dropout.min": 0.1})
"""The defaults, but for a lowest dropout above 0: only such a range may be sampled on either scale."""

_KNOWN = {"head_width": 8, "dropout": 0.1, "l2": 0.0, "learning_rate": 0.01, "unfreeze_depth": 0}


def each_field_changed(settings: Any) -> dict[str, Any]:
    """A frozen dataclass of flags and numbers once a field, by its name, with another value of that field."""
    names = [field.name for field in fields(settings)]
    return {name: replace(settings, **{name: _other(getattr(settings, name))}) for name in names}


def each_setting_changed(config: Config) -> dict[str, Config]:
    """A configuration once a setting, by its dotted path, with another valid value of that setting."""
    return {".".join(path): _changed(config, path, value, annotation) for path, value, annotation in _settings(config)}


def _other(value: float) -> float:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else value / 2 + 0.01


def _settings(section: BaseModel, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _settings(value, (*before, name))
        else:
            yield (*before, name), value, field.annotation


def _changed(config: Config, path: tuple[str, ...], value: Any, annotation: Any) -> Config:
    candidates = [word for word in get_args(annotation) if isinstance(word, str)]
    if isinstance(value, bool):
        candidates += [not value]
    elif isinstance(value, int | float):
        candidates += [value + 1, value - 1, value / 2]
    elif isinstance(value, tuple):
        candidates += [value[:1], (_KNOWN,), ("calm", "wild")]
    else:
        candidates += [1, "elsewhere"]
    for candidate in candidates:
        values = config.model_dump()
        section = values
        for name in path[:-1]:
            section = section[name]
        section[path[-1]] = candidate
        try:
            changed = Config.model_validate(values)
        except ValidationError:
            continue
        if changed != config:
            return changed
    raise AssertionError(f"no other value of {'.'.join(path)} is known here: give one")
