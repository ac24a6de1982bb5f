"""Offers of the shell behind the Tab key: names of runs, and paths of settings.

Each Tab starts a new process, so nothing here imports more than it needs, and whatever goes wrong offers nothing: a
shell shows no errors while it completes.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from search.config.schema import Config
from search.errors import UserError
from search.run_folder.lookup import all_runs


def complete_run(incomplete: str) -> list[str]:
    """Names of the runs that begin with what was typed, the one last worked on first."""
    try:
        return [run.name for run in all_runs() if run.name.startswith(incomplete)]
    except (UserError, OSError):
        return []


def complete_setting(incomplete: str) -> list[str]:
    """Paths of settings that begin with what was typed, each with its "=" behind it."""
    return [f"{path}=" for path in _setting_paths(Config(), "") if path.startswith(incomplete)]


def _setting_paths(model: BaseModel, prefix: str) -> Iterator[str]:
    for name, value in model:
        if isinstance(value, BaseModel):
            yield from _setting_paths(value, f"{prefix}{name}.")
        elif prefix:
            yield prefix + name
