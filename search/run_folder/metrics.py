"""best/metrics.json of a run as it is read again, and the texts that are taken from such files."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from reports.files import read_regular
from search.errors import RunError
from search.run_folder.directory import RunDirectory
from search.run_folder.manifest import first_mistake

Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,200}$")]
"""A text of one line that a terminal shows as it is."""
ClassNames = Annotated[tuple[Name, ...], Field(min_length=2, max_length=100)]


def read_metrics(directory: RunDirectory) -> dict[str, Any]:
    """best/metrics.json.

    Raises:
        RunError: If it is missing or damaged: the run is not complete.
    """
    path = directory.best / "metrics.json"
    try:
        metrics: dict[str, Any] = json.loads(read_regular(path))
        TypeAdapter(ClassNames).validate_python(metrics["class_names"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else reason_of(error)
        raise RunError(
            expected="a finished run with best/metrics.json",
            found=f"{path}: {reason}",
            remedy="Finish the run first: the command that began it goes on with it.",
        ) from None
    return metrics


def reason_of(error: Exception) -> str:
    """An exception in a few words; pydantic's first finding with its place."""
    if isinstance(error, ValidationError):
        return first_mistake(error)
    return f"{type(error).__name__} {error}"
