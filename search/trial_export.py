"""The runs of a search drawn, and written for optuna-dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reports.trial_record import TrialRecord
from search.errors import ConfigError, RunError
from search.run_folder.directory import RunDirectory
from search.search_dimensions import recorded_dimensions

if TYPE_CHECKING:
    from reports.search_plots.space import Dimension


def draw_search(directory: RunDirectory, records: Sequence[TrialRecord], out: Path) -> dict[str, Path]:
    """Draw all pictures of a search, each budget with enough runs included.

    Args:
        directory: The run's folder.
        records: Its runs.
        out: Folder of the PNG files.

    Returns:
        Name to file.

    Raises:
        RunError: If no run has ended.
        MissingOptunaError: If optuna is not installed.
    """
    from reports.search_plots.optuna_study import require_optuna
    from reports.search_plots.plots import write_optuna_plots, write_plain_plots

    require_optuna()
    _need_records(directory, records)
    dimensions = _dimensions(directory)
    return write_plain_plots(records, out) | write_optuna_plots(records, dimensions, out, every_budget=True)


def write_optuna(directory: RunDirectory, records: Sequence[TrialRecord], path: Path) -> tuple[str, ...]:
    """Write a file that optuna and optuna-dashboard open.

    Args:
        directory: The run's folder.
        records: Its runs.
        path: The file; it must not be there yet.

    Returns:
        The names of the studies in it.

    Raises:
        ConfigError: If the file is there, or its ending is no known one.
        RunError: If no run has ended.
        MissingOptunaError: If optuna is not installed.
    """
    from reports.search_plots.optuna_export import JOURNAL_SUFFIXES, SQLITE_SUFFIXES, export_studies
    from reports.search_plots.optuna_study import require_optuna
    from search.files.atomic import replacing

    require_optuna()
    known = (*SQLITE_SUFFIXES, *JOURNAL_SUFFIXES)
    if path.suffix not in known:
        raise ConfigError(
            expected=f"--export-optuna with a file that ends in {', '.join(known)}",
            found=str(path),
            remedy=f"Write {path.stem or 'search'}.db (SQLite) or {path.stem or 'search'}.log (journal).",
        )
    if path.exists():
        raise ConfigError(
            expected="--export-optuna with a new file", found=f"{path}, which is there", remedy="Name another one."
        )
    _need_records(directory, records)
    with replacing(path) as temporary:
        temporary.unlink()
        return export_studies(records, _dimensions(directory), temporary, name=directory.name)


def _need_records(directory: RunDirectory, records: Sequence[TrialRecord]) -> None:
    if not records:
        raise RunError(
            expected="a search with runs that have ended",
            found=f"none in {directory.path}",
            remedy=f"See how far it is: mammo-search status {directory.name}.",
        )


def _dimensions(directory: RunDirectory) -> tuple[Dimension, ...]:
    return recorded_dimensions(directory.read_manifest().get("settings", {}))
