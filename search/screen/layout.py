"""What a terminal shows of a search while it runs: a table of runs, counts, two bars; drawn for a given size.

A run as short text.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reports.trials import TrialRecord, fold_objectives
from search.screen.state import RunInFlight, SearchBoard
from search.text import duration

# Rows of the screen that the table leaves to the header above it and to what stands below it.
_ROWS_AROUND = 13
_MOST_ROWS = 16
_LOWEST, _NARROWEST = 12, 60


@dataclass
class Station:
    """A part of the job that is not the search.

    Attributes:
        name: For example "trunk".
        began: Seconds of a monotonic clock.
        done: How much is done.
        total: Of how much; None where nobody knows.
    """

    name: str
    began: float
    done: int = 0
    total: int | None = None

    def seconds_left(self, now: float) -> float | None:
        """As fast as until now; None before a hundredth is done."""
        if not self.total or self.done * 100 < self.total:
            return None
        return (now - self.began) / self.done * (self.total - self.done)


def layout(
    board: SearchBoard | None, stations: Sequence[Station], *, width: int, height: int, now: float
) -> RenderableType:
    """Draw everything, at most ``height - 1`` rows of at most ``width`` columns.

    Args:
        board: The search, if one is on.
        stations: What else is on.
        width: Columns of the terminal.
        height: Its rows.
        now: Seconds of a monotonic clock.
    """
    parts: list[RenderableType] = []
    if board is not None:
        if width >= _NARROWEST and height >= _LOWEST:
            rows = max(3, min(_MOST_ROWS, height - _ROWS_AROUND))
            parts += [Text(), runs_table(board, rows=rows, width=width, now=now)]
        parts.append(counts_line(board))
    bars = Table.grid(padding=(0, 1), expand=True)
    bars.add_column(no_wrap=True)
    bars.add_column(ratio=1)
    bars.add_column(no_wrap=True)
    bars.add_column(no_wrap=True, justify="right", min_width=min(18, width // 4))
    if board is not None:
        _search_bars(bars, board, now)
    for station in stations[: max(1, height - 4)]:
        count = f"{station.done}/{station.total}" if station.total else ""
        total = float(station.total) if station.total else None
        bar = ProgressBar(total=total, completed=station.done, pulse=total is None, animation_time=now)
        passed = f"{duration(now - station.began)}"
        left = station.seconds_left(now)
        bars.add_row(escape(station.name), bar, count, passed if left is None else f"{duration(left)} left")
    parts.append(bars)
    return Group(*parts)


def runs_table(board: SearchBoard, *, rows: int, width: int, now: float = 0.0, flying: bool = True) -> Table:
    """The best runs so far, the last ones and the one in flight.

    Args:
        board: The search.
        rows: At most so many.
        width: Columns of the terminal; narrow ones are shown less of the hyperparameters.
        now: Seconds of a monotonic clock.
        flying: Whether the search is on; after it only the best runs are listed.
    """
    columns = [column for column in _COLUMNS if width >= column.from_width]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
    in_flight = list(board.running.values())[: max(1, rows - 2)] if flying else []
    free = max(0, rows - len(in_flight))
    best = board.best(min(5, max(1, free // 2)) if flying else rows)
    shown = {record.trial for record in best}
    last = [record for record in board.records if record.trial not in shown][-(free - len(best)) :] if flying else []
    for place, record in enumerate(best):
        style = "bold green" if place == 0 else "green"
        table.add_row(*(column.of(_finished(record, "done" if place else "best")) for column in columns), style=style)
    for record in last if free > len(best) else []:
        row = _finished(record, "failed" if record.status == "failed" else "done")
        table.add_row(*(column.of(row) for column in columns), style="red" if record.status == "failed" else "")
    for flight in in_flight:
        table.add_row(*(column.of(_in_flight(flight, now)) for column in columns), style="cyan")
    return table


def counts_line(board: SearchBoard) -> Text:
    """How many runs are in which state."""
    counts = board.counts
    styles = {"done": "green", "failed": "red", "running": "cyan", "to come": "dim"}
    line = Text(no_wrap=True, overflow="ellipsis")
    for state, count in counts.items():
        if count or state == "done":
            line.append(f"{', ' if line.plain else ''}{count} {state}", style=styles[state])
    return line


def _search_bars(bars: Table, board: SearchBoard, now: float) -> None:
    left = board.seconds_left(now)
    bars.add_row(
        "search",
        ProgressBar(total=board.plan.epochs, completed=board.epochs_done),
        f"epoch {int(board.epochs_done)}/{board.plan.epochs}",
        f"{duration(left)} left" if left is not None else "",
    )
    for flight in list(board.running.values())[:1]:
        total = flight.epochs_a_fold * board.folds
        left = board.run_seconds_left(flight, now)
        others = f" (and {len(board.running) - 1} more)" if len(board.running) > 1 else ""
        bars.add_row(
            f"run {flight.run}{others}",
            ProgressBar(total=total, completed=flight.fold_epochs),
            f"fold {flight.fold + 1}/{board.folds} epoch {flight.epoch}/{flight.assignment.epochs}",
            f"{duration(left)} left" if left is not None else "",
        )


@dataclass(frozen=True)
class _Row:
    run: int
    state: str
    bracket: int
    rung: int
    initial_epoch: int
    epochs: int
    objective: float | None
    spread: str
    values: dict[str, Any]
    seconds: float


def _finished(record: TrialRecord, state: str) -> _Row:
    spread = spread_text(record).removeprefix(" ± ")
    return _Row(
        record.trial, state, record.bracket, record.rung, record.initial_epoch, record.epochs, record.objective, spread,
        record.hyperparameters, record.seconds,
    )  # fmt: skip


def _in_flight(flight: RunInFlight, now: float) -> _Row:
    assignment, values = flight.assignment, vars(flight.configuration)
    return _Row(
        flight.run, "running", assignment.bracket, assignment.rung, assignment.initial_epoch, assignment.epochs, None,
        "", values, max(0.0, now - flight.began),
    )  # fmt: skip


@dataclass(frozen=True)
class _Column:
    title: str
    of: Callable[[_Row], str]
    right: bool = True
    from_width: int = 0


_COLUMNS = (
    _Column("run", lambda row: str(row.run)),
    _Column("state", lambda row: row.state, right=False),
    _Column("bracket", lambda row: str(row.bracket)),
    _Column("rung", lambda row: str(row.rung)),
    _Column("epochs", lambda row: f"{row.initial_epoch}→{row.epochs}"),
    _Column("AUC", lambda row: "" if row.objective is None else f"{row.objective:.3f}"),
    _Column("± folds", lambda row: row.spread),
    _Column("depth", lambda row: str(row.values.get("unfreeze_depth", ""))),
    _Column("width", lambda row: str(row.values.get("head_width", "")), from_width=70),
    _Column("dropout", lambda row: _number(row.values.get("dropout")), from_width=100),
    _Column("l2", lambda row: _number(row.values.get("l2")), from_width=100),
    _Column("lr", lambda row: _number(row.values.get("learning_rate")), from_width=78),
    _Column("time", lambda row: duration(row.seconds), from_width=76),
)


def _number(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, int | float) else ""


def run_line(record: TrialRecord, runs: int) -> str:
    """One finished run as a line of text.

    Args:
        record: The run.
        runs: How many the plan has.
    """
    values = record.hyperparameters
    result = f"failed: {record.error}" if record.status == "failed" else f"AUC {objective_text(record)}"
    width = len(str(runs))
    return (
        f"run {record.trial:>{width}}  {record.trial + 1:>{width}}/{runs}  "
        f"bracket {record.bracket} rung {record.rung}  "
        f"epochs {record.initial_epoch:>2}→{record.epochs:<2}  {result}  depth {values['unfreeze_depth']}  "
        f"width {values['head_width']:<4}  dropout {values['dropout']:<5.3g}  l2 {values['l2']:<8.2g}  "
        f"lr {values['learning_rate']:<8.2g}  {record.seconds:6.1f} s"
    )


def objective_text(record: TrialRecord) -> str:
    """The objective with the standard deviation over the folds, of constant width."""
    if record.objective is None:
        return f"{'n/a':13}"
    return f"{record.objective:.3f}{spread_text(record):8}"


def spread_text(record: TrialRecord) -> str:
    """The standard deviation over the folds, "" where there is none."""
    folds = [value for value in fold_objectives(record) if value == value]
    return f" ± {statistics.stdev(folds):.3f}" if len(folds) > 1 else ""
