"""What the shell offers behind the Tab key: names of runs, and paths of settings.

Each Tab starts a new process, so nothing here imports more than it needs, and whatever goes wrong offers nothing: a
shell shows no errors while it completes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from search.errors import UserError


def complete_run(incomplete: str) -> list[str]:
    """Names of the runs that begin with what was typed, the one last worked on first."""
    from search.run_folder.lookup import all_runs

    try:
        return [run.name for run in all_runs() if run.name.startswith(incomplete)]
    except (UserError, OSError):
        return []


RunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help="Name of a run, or its folder; default: the newest.",
        show_default=False,
        autocompletion=complete_run,
    ),
]
"""The RUN of a command that takes the newest run where none is named."""


def complete_setting(incomplete: str) -> list[str]:
    """Paths of settings that begin with what was typed, each with its "=" behind it."""
    return [f"{path}=" for path in _setting_paths() if path.startswith(incomplete)]


def _setting_paths() -> Iterator[str]:
    from pydantic import BaseModel

    from search.config.schema import Config

    def paths(model: BaseModel, prefix: str) -> Iterator[str]:
        for name in type(model).model_fields:
            value = getattr(model, name)
            if isinstance(value, BaseModel):
                yield from paths(value, f"{prefix}{name}.")
            elif prefix:
                yield prefix + name

    return paths(Config(), "")
