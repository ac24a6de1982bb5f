"""mammo-search trials: the trials of a search as a table, as JSON, as pictures, or for optuna-dashboard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from csv import DictWriter
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

import reports
from reports.page.words import epochs_text, hyperparameter_text, objective_text, reading_order, short_name
from reports.search_plots.optuna_export import JOURNAL_SUFFIXES, SQLITE_SUFFIXES, export_studies
from reports.search_plots.optuna_study import require_optuna
from reports.trials import OBJECTIVE_CURVE, TrialRecord, best_first, fold_objectives, objective_sd, ranked, ranks
from search.cli.settings import Json, RunArgument
from search.errors import ConfigError, RunError
from search.files.atomic import replacing
from search.run_folder.directory import RunDirectory
from search.run_folder.extent import search_extent
from search.run_folder.lookup import find_run
from search.run_folder.trial_log import recorded
from search.screen.output import answer_width, show, show_json, show_table
from search.text import short_duration

FULL_WIDTH, FULLER_WIDTH = 100, 114
# The number has another name here; curves and details are in trials.jsonl.
_BACKBONE_RATE = "backbone lr"
_NOT_LISTED = {"curves", "build_seconds", "diverged_epoch", "attempt"}
_NEEDED_LEAST = ("b/r", "best", "time")
Order = Literal["objective", "trial", "seconds"]


def trials(
    run: RunArgument = None,
    sort: Annotated[Order, typer.Option(help="objective, trial or seconds.", metavar="ORDER")] = "objective",
    best: Annotated[
        int | None, typer.Option(help="Only the N best trials of the most epochs.", metavar="N", min=1)
    ] = None,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw the search as PNG files (importances need optuna).")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for --plot (default: best/figures/search).")] = None,
    export_optuna: Annotated[
        Path | None, typer.Option(help="A file for optuna-dashboard, .db or .log.", metavar="FILE")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the trials as CSV, a row each.", metavar="FILE")] = None,
    json: Json = False,
) -> None:
    """List the trials of a search, best first.

    Example: mammo-search trials demo --best 5
    """
    directory = find_run(run)
    records = recorded(directory)
    rows = listed(records, sort=sort, best=best)
    plots = draw_search(directory, records, out or directory.figures / "search") if plot or out else {}
    studies = write_optuna(directory, records, export_optuna) if export_optuna else ()
    if csv:
        write_csv(directory, rows, records, csv)
    if json:
        export = {"file": str(export_optuna), "studies": list(studies)} if export_optuna else None
        files = {name: str(path) for name, path in plots.items()}
        show_json(as_json(directory, rows, records) | {"plots": files, "export": export})
        return
    if not records:
        show(nothing_yet(directory))
        return
    show_table(table_of(directory, rows, records, ruled=sort == "objective", width=answer_width()))
    for path in plots.values():
        show(str(path))
    if export_optuna:
        address = f"sqlite:///{export_optuna}" if export_optuna.suffix in SQLITE_SUFFIXES else str(export_optuna)
        count = f"{len(studies)} stud{'y' if len(studies) == 1 else 'ies'}"
        show(f"{export_optuna}: {count}; look at it with: optuna-dashboard {address}")


def listed(records: Sequence[TrialRecord], *, sort: Order, best: int | None) -> tuple[TrialRecord, ...]:
    """The rows of the table.

    Args:
        records: All trials.
        sort: "objective" (trials of the same epochs together, the longest first, failed ones last), "trial" or
            "seconds" (the longest first).
        best: Only so many, of the trials that are compared for the first place.
    """
    rows = ranked(records)[:best] if best else records
    if sort == "objective":
        return tuple(best_first(rows))
    return tuple(sorted(rows, key=lambda r: (-r.seconds if sort == "seconds" else 0, r.trial)))


def as_json(directory: RunDirectory, rows: Sequence[TrialRecord], records: Sequence[TrialRecord]) -> dict[str, Any]:
    """Rows as a JSON-able dict; the schema is in search/cli/README.md."""
    rank, parents = ranks(records), _parents(records)
    names = [field.name for field in fields(TrialRecord) if field.name not in _NOT_LISTED]
    extent = search_extent(directory)
    return {
        "run": directory.name,
        "path": str(directory.path),
        "objective": OBJECTIVE_CURVE,
        "cut_short": asdict(extent) if extent and extent.ended_by else None,
        "trials": [
            {
                "lineage": lineage(record, parents),
                "objective_sd": objective_sd(record),
                "rank": rank.get(record.trial),
                **{name: getattr(record, name) for name in names},
            }
            for record in rows
        ],
    }


def write_csv(directory: RunDirectory, rows: Sequence[TrialRecord], records: Sequence[TrialRecord], path: Path) -> None:
    """Write rows for spreadsheets and trackers: the columns are in search/cli/README.md.

    Args:
        directory: The run's folder.
        rows: What to write, in this order.
        records: All trials, for ranks and lineage.
        path: The file; one that is there is replaced.

    Raises:
        RunError: If no trial has ended.
    """
    if not rows:
        raise no_trial_yet(directory)
    table = []
    for entry in as_json(directory, rows, records)["trials"]:
        values, ancestors = entry.pop("hyperparameters"), entry.pop("lineage")
        table.append({"run": directory.name, **entry, "lineage": "<".join(map(str, ancestors)), **values})
    columns = list(dict.fromkeys(name for entry in table for name in entry))
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def table_of(
    directory: RunDirectory, rows: Sequence[TrialRecord], records: Sequence[TrialRecord], *, ruled: bool, width: int
) -> Table:
    """Rows as a table.

    Args:
        directory: The run's folder.
        rows: What to show, in this order.
        records: All trials, for ranks and lineage.
        ruled: Leave a line free between different epoch counts.
        width: Columns of the terminal; below 114 the backbone's rate is left out, below 100 what is needed least.
    """
    narrow = width < FULL_WIDTH
    rank = ranks(records)
    left_out = (*(_NEEDED_LEAST if narrow else ()), *((_BACKBONE_RATE,) if width < FULLER_WIDTH else ()))
    columns = {name: text for name, text in _columns(rank, records).items() if name not in left_out}
    extent = search_extent(directory)
    caption = f"The search was {extent}.\n" if extent and str(extent) else ""
    caption += _caption(max((len(fold_objectives(record)) for record in rows), default=0), narrow=narrow)
    failures = "".join(f"\ntrial {record.trial} failed: {escape(record.error)}" for record in rows if record.error)
    table = Table(
        title=f"{escape(directory.name)}: {len(rows)} of {len(records)} trials",
        caption=caption + failures,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        caption_style="",
        box=None,
        padding=(0, 1 if narrow else 2, 0, 0),
        pad_edge=False,
    )
    for name in columns:
        table.add_column(name, justify="left" if name in ("from", "b/r") else "right", no_wrap=True)
    for position, record in enumerate(rows):
        if ruled and position and rows[position - 1].epochs != record.epochs:
            table.add_row()
        style = "bold green" if rank.get(record.trial) == 1 else "red" if record.objective is None else None
        table.add_row(*(text(record) for text in columns.values()), style=style)
    return table


def _columns(rank: dict[int, int], records: Sequence[TrialRecord]) -> dict[str, Callable[[TrialRecord], str]]:
    """Name of each column to its text of a trial."""
    parents = _parents(records)
    names = reading_order({name for record in records for name in record.hyperparameters})
    return {
        "rank": lambda record: str(rank.get(record.trial, "")),
        "trial": lambda record: str(record.trial),
        "from": lambda record: "<".join(map(str, lineage(record, parents))),
        "b/r": lambda record: f"{record.bracket}/{record.rung}",
        "epochs": lambda record: epochs_text(record.initial_epoch, record.epochs),
        "macro AUC": lambda record: objective_text(record) or "failed",
        "best": lambda record: str(record.best_epoch or ""),
        **{short_name(name): partial(_hyperparameter, name) for name in names},
        _BACKBONE_RATE: lambda record: hyperparameter_text(record.backbone_learning_rate or ""),
        "time": lambda record: short_duration(record.seconds),
    }


def _hyperparameter(name: str, record: TrialRecord) -> str:
    return hyperparameter_text(record.hyperparameters.get(name, ""))


def _caption(folds: int, *, narrow: bool) -> str:
    of_folds = f", mean ± standard deviation over {folds} folds" if folds > 1 else ""
    return (
        f"macro AUC: one-vs-rest, cross-validated{of_folds}; selected, so optimistic.\n"
        "Scores compare between trials of the same epochs only; rank: among those of most epochs so far; "
        f"from: promoted from{'' if narrow else '; b/r: bracket and rung'}."
    )


def nothing_yet(directory: RunDirectory) -> str:
    """What to say where no trial has ended."""
    inner = [path.parent.name for path in sorted(directory.path.glob("outer-*/trials.jsonl"))]
    if inner:
        return (
            f"{directory.name} is nested, and its last search has not begun; "
            f"its outer searches: {', '.join(f'{directory.name}/{name}' for name in inner)}"
        )
    return f"no trial of {directory.name} has ended yet; see: mammo-search status {directory.name}"


def _parents(records: Sequence[TrialRecord]) -> dict[int, int | None]:
    return {record.trial: record.parent for record in records}


def lineage(record: TrialRecord, parents: Mapping[int, int | None]) -> list[int]:
    """The trials that a trial continues, the nearest first.

    Args:
        record: The trial.
        parents: Each trial of the search to the one that it continues.
    """
    found: list[int] = []
    parent = record.parent
    while parent is not None and parent not in found:
        found.append(parent)
        parent = parents.get(parent)
    return found


def draw_search(directory: RunDirectory, records: Sequence[TrialRecord], out: Path) -> dict[str, Path]:
    """Draw all pictures of a search, each budget with enough trials included.

    Args:
        directory: The run's folder.
        records: Its trials.
        out: Folder of the PNG files.

    Returns:
        Name to file.

    Raises:
        RunError: If no trial has ended.
    """
    return reports.write_search_plots(records, _dimensions(directory, records), out, every_budget=True)


def write_optuna(directory: RunDirectory, records: Sequence[TrialRecord], path: Path) -> tuple[str, ...]:
    """Write a file that optuna and optuna-dashboard open.

    Args:
        directory: The run's folder.
        records: Its trials.
        path: The file; it must not be there yet.

    Returns:
        The names of the studies in it.

    Raises:
        ConfigError: If the file is there, or its ending is no known one.
        RunError: If no trial has ended.
        MissingOptunaError: If optuna is not installed.
    """
    require_optuna()
    known, stem = (*SQLITE_SUFFIXES, *JOURNAL_SUFFIXES), path.stem or "search"
    if path.suffix not in known:
        raise ConfigError(
            expected=f"--export-optuna with a file that ends in {', '.join(known)}",
            found=str(path),
            remedy=f"Write {stem}.db (SQLite) or {stem}.log (journal).",
        )
    if path.exists():
        raise ConfigError(
            expected="--export-optuna with a new file", found=f"{path}, which is there", remedy="Name another one."
        )
    dimensions = _dimensions(directory, records)
    with replacing(path) as temporary:
        temporary.unlink()
        full = directory.read_manifest().plan.max_epochs or None
        return export_studies(records, dimensions, temporary, name=directory.name, full_epochs=full)


def _dimensions(directory: RunDirectory, records: Sequence[TrialRecord]) -> tuple[reports.Dimension, ...]:
    from search.plan.space import recorded_dimensions

    if not records:
        raise no_trial_yet(directory)
    return recorded_dimensions(directory.read_manifest().settings)


def no_trial_yet(directory: RunDirectory) -> RunError:
    """The error of what needs a trial that has ended."""
    return RunError(
        expected="a search with trials that have ended",
        found=f"none in {directory.path}",
        remedy=f"See how far it is: mammo-search status {directory.name}.",
    )
