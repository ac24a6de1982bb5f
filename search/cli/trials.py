"""mammo-search trials: the runs of a search, as a table, as JSON, as pictures, or for optuna-dashboard.

JSON: ``{"run", "path", "objective", "trials", "plots", "export"}``. ``trials`` is a list of ``{"run", "configuration",
"bracket", "rung", "parent", "lineage" (the runs it continues, the nearest first), "initial_epoch", "epochs", "status",
"objective", "objective_sd", "best_epoch", "rank" (1 is the winner; null below the full budget), "started", "seconds",
"overhead_seconds", "error", "hyperparameters" ({name: value})}`` in the order of the table; ``plots`` is a name to file
mapping, empty without --plot; ``export`` is null, or ``{"file", "studies"}``. The curves are in trials.jsonl.

The runs of a search drawn, and written for optuna-dashboard.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reports.trials import TrialRecord
from search.cli.completion import RunArgument
from search.errors import ConfigError, RunError
from search.plan.space import recorded_dimensions
from search.run_folder.directory import RunDirectory

if TYPE_CHECKING:
    from reports.search_plots.space import Dimension


class Order(StrEnum):
    """What the table is sorted by."""

    objective = "objective"
    run = "run"
    seconds = "seconds"


def trials(
    run: RunArgument = None,
    sort: Annotated[Order, typer.Option(help="objective, run or seconds.", metavar="ORDER")] = Order.objective,
    best: Annotated[int | None, typer.Option(help="Only the N best of the full budget.", metavar="N", min=1)] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the search as PNG files.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for --plot (default: best/figures/search).")] = None,
    export_optuna: Annotated[
        Path | None, typer.Option(help="For optuna-dashboard: .db or .log.", metavar="FILE")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the trials as JSON.")] = False,
) -> None:
    """List the runs of a search, best first.

    Example: mammo-search trials demo --best 5
    """
    from search.cli.trials_table import as_json, listed, nothing_yet, table_of
    from search.run_folder.lookup import find_run
    from search.run_folder.trial_log import recorded
    from search.screen.output import answer_width, show, show_json, show_table

    directory = find_run(run)
    records = recorded(directory)
    rows = listed(records, sort=sort.value, best=best)
    plots = draw_search(directory, records, out or directory.figures / "search") if plot or out else {}
    studies = write_optuna(directory, records, export_optuna) if export_optuna else ()
    if json:
        export = {"file": str(export_optuna), "studies": list(studies)} if export_optuna else None
        show_json(as_json(directory, rows, records) | {"plots": _texts(plots), "export": export})
        return
    if not records:
        show(nothing_yet(directory))
        return
    show_table(table_of(directory, rows, records, ruled=sort is Order.objective, width=answer_width()))
    for path in plots.values():
        show(str(path))
    if export_optuna:
        show(f"{export_optuna}: {len(studies)} studies; look at them with: optuna-dashboard {_address(export_optuna)}")


def _texts(plots: dict[str, Path]) -> dict[str, str]:
    return {name: str(path) for name, path in plots.items()}


def _address(path: Path) -> str:
    """What optuna-dashboard is given: an SQLite file by its address, a journal by its path."""
    from reports.search_plots.optuna_export import SQLITE_SUFFIXES

    return f"sqlite:///{path}" if path.suffix in SQLITE_SUFFIXES else str(path)


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
    return recorded_dimensions(directory.read_manifest().settings)
