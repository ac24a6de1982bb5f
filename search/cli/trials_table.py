"""The runs of a search as a table for people and as JSON."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from reports.page.words import hyperparameter_text
from reports.trials import OBJECTIVE_CURVE, TrialRecord, fold_objectives, objective_sd, ranked
from search.run_folder.directory import RunDirectory
from search.text import short_duration

if TYPE_CHECKING:
    from rich.table import Table


FULL_WIDTH = 100
_NEEDED_LEAST = ("b/r", "best", "time")
SHORT_NAMES = {"unfreeze_depth": "depth", "head_width": "width", "learning_rate": "lr"}


def listed(records: Sequence[TrialRecord], *, sort: str, best: int | None) -> tuple[TrialRecord, ...]:
    """The rows of the table.

    Args:
        records: All runs.
        sort: "objective" (runs of the same epochs together, the longest first, failed ones last), "run" or "seconds"
            (the longest first).
        best: Only so many, of the runs that are compared for the first place.
    """
    chosen = list(ranked(records)[:best] if best else records)
    if sort == "run":
        chosen.sort(key=lambda record: record.trial)
    elif sort == "seconds":
        chosen.sort(key=lambda record: (-record.seconds, record.trial))
    else:
        chosen.sort(key=lambda r: (r.objective is None, -r.epochs, -_number(r.objective), r.trial))
    return tuple(chosen)


def as_json(directory: RunDirectory, rows: Sequence[TrialRecord], records: Sequence[TrialRecord]) -> dict[str, Any]:
    """Rows as a JSON-able dict; the schema is in `search.cli.trials`."""
    rank = {record.trial: place for place, record in enumerate(ranked(records), start=1)}
    return {
        "run": directory.name,
        "path": str(directory.path),
        "objective": OBJECTIVE_CURVE,
        "trials": [
            {
                "run": record.trial,
                "configuration": record.configuration,
                "bracket": record.bracket,
                "rung": record.rung,
                "parent": record.parent,
                "lineage": lineage(record, records),
                "initial_epoch": record.initial_epoch,
                "epochs": record.epochs,
                "status": record.status,
                "objective": record.objective,
                "objective_sd": objective_sd(record),
                "best_epoch": record.best_epoch,
                "rank": rank.get(record.trial),
                "started": record.started,
                "seconds": record.seconds,
                "overhead_seconds": record.overhead_seconds,
                "error": record.error,
                "hyperparameters": record.hyperparameters,
            }
            for record in rows
        ],
    }


def table_of(
    directory: RunDirectory, rows: Sequence[TrialRecord], records: Sequence[TrialRecord], *, ruled: bool, width: int
) -> Table:
    """Rows as a table.

    Args:
        directory: The run's folder.
        rows: What to show, in this order.
        records: All runs, for ranks and lineage.
        ruled: Leave a line free between different epoch counts.
        width: Columns of the terminal; below 100 what is least needed is left out.
    """
    from rich.markup import escape
    from rich.table import Table

    rank = {record.trial: place for place, record in enumerate(ranked(records), start=1)}
    names = sorted({name for record in records for name in record.hyperparameters}, key=_place)
    narrow = width < FULL_WIDTH
    table = Table(
        title=f"{escape(directory.name)}: {len(rows)} of {len(records)} runs",
        caption=_caption(max((len(fold_objectives(record)) for record in rows), default=0), narrow=narrow),
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        caption_style="",
        box=None,
        padding=(0, 1 if narrow else 2, 0, 0),
        pad_edge=False,
    )
    shown = [column for column in _columns(rank, records, names) if not (narrow and column.name in _NEEDED_LEAST)]
    for column in shown:
        table.add_column(column.name, justify="left" if column.name in ("from", "b/r") else "right", no_wrap=True)
    for position, record in enumerate(rows):
        if ruled and position and rows[position - 1].epochs != record.epochs:
            table.add_row()
        style = "bold green" if rank.get(record.trial) == 1 else "red" if record.objective is None else None
        table.add_row(*(column.text(record) for column in shown), style=style)
    for record in rows:
        if record.error:
            table.caption = f"{table.caption}\nrun {record.trial} failed: {escape(record.error)}"
    return table


class _Column(NamedTuple):
    name: str
    text: Callable[[TrialRecord], str]


def _columns(rank: Mapping[int, int], records: Sequence[TrialRecord], names: Sequence[str]) -> list[_Column]:
    return [
        _Column("rank", lambda record: str(rank.get(record.trial, ""))),
        _Column("run", lambda record: str(record.trial)),
        _Column("from", lambda record: "<".join(map(str, lineage(record, records)))),
        _Column("b/r", lambda record: f"{record.bracket}/{record.rung}"),
        _Column("epochs", _span),
        _Column("macro AUC", _score),
        _Column("best", lambda record: str(record.best_epoch or "")),
        *(_Column(SHORT_NAMES.get(name, name), functools.partial(_value, name)) for name in names),
        _Column("time", lambda record: short_duration(record.seconds)),
    ]


def _value(name: str, record: TrialRecord) -> str:
    return hyperparameter_text(record.hyperparameters.get(name, ""))


def nothing_yet(directory: RunDirectory) -> str:
    """What to say where no run has ended."""
    inner = [path.parent.name for path in sorted(directory.path.glob("outer-*/trials.jsonl"))]
    if inner:
        return (
            f"{directory.name} is nested, and its last search has not begun; "
            f"its outer searches: {', '.join(f'{directory.name}/{name}' for name in inner)}"
        )
    return f"no run of {directory.name} has ended yet; see: mammo-search status {directory.name}"


def lineage(record: TrialRecord, records: Sequence[TrialRecord]) -> list[int]:
    """The runs that a run continues, the nearest first."""
    parents = {each.trial: each.parent for each in records}
    found: list[int] = []
    parent = record.parent
    while parent is not None and parent not in found:
        found.append(parent)
        parent = parents.get(parent)
    return found


def _span(record: TrialRecord) -> str:
    return f"{record.initial_epoch}-{record.epochs}" if record.initial_epoch else str(record.epochs)


def _score(record: TrialRecord) -> str:
    if record.objective is None:
        return "failed"
    deviation = objective_sd(record)
    return f"{record.objective:.3f}" + (f" ±{deviation:.3f}" if deviation is not None else "")


def _caption(folds: int, *, narrow: bool) -> str:
    of_folds = f", mean ± standard deviation over {folds} folds" if folds > 1 else ""
    return (
        f"macro AUC: one-vs-rest, cross-validated{of_folds}; selected, so optimistic.\n"
        "Scores compare between runs of the same epochs only; rank: among those of most epochs so far; "
        f"from: promoted from{'' if narrow else '; b/r: bracket and rung'}."
    )


def _place(name: str) -> tuple[int, str]:
    order = list(SHORT_NAMES)
    return (order.index(name) if name in order else len(order), name)


def _number(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else -math.inf
