"""The layout of what a terminal shows of a search while it runs, for a given size; a trial as a line of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reports import TrialRecord
from reports.page.words import epochs_text, hyperparameter_text, objective_text, short_name
from reports.trials import best_first, ranks
from search.plan.clock import SearchClock
from search.plan.execution import Assignment
from search.text import duration, rounded, short_duration

# Rows of the screen that the table leaves to the header above it and to what stands below it.
_ROWS_AROUND = 14
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
        first: How much was done when it was told for the first time.
    """

    name: str
    began: float
    done: int = 0
    total: int | None = None
    first: int = 0

    def seconds_left(self, now: float) -> float | None:
        """As fast as until now; None before a twentieth is done, for what comes first has graphs to make."""
        if not self.total or self.done * 20 < self.total:
            return None
        return (now - self.began) / self.done * (self.total - self.done)


def layout(
    board: SearchClock | None,
    stations: Sequence[Station],
    *,
    width: int,
    height: int,
    now: float,
    left: float | None = None,
) -> RenderableType:
    """Draw everything, at most ``height - 1`` rows of at most ``width`` columns.

    Args:
        board: The search, if one is on.
        stations: What else is on.
        width: Columns of the terminal.
        height: Its rows.
        now: Seconds of a monotonic clock.
        left: Seconds until the whole job ends, where they are known.
    """
    parts: list[RenderableType] = []
    if board is not None:
        if width >= _NARROWEST and height >= _LOWEST:
            rows = max(3, min(_MOST_ROWS, height - _ROWS_AROUND))
            parts += [Text(), trials_table(board, rows=rows, width=width, now=now)]
        parts.append(counts_line(board))
    if left is not None:
        words = f"about {rounded(left)} left of the whole run"
        parts.append(Text(words, style="dim", no_wrap=True, overflow="ellipsis"))
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
        bars.add_row(
            escape(station.name), bar, count, _left(station.seconds_left(now)) or duration(now - station.began)
        )
    parts.append(bars)
    return Group(*parts)


def trials_table(board: SearchClock, *, rows: int, width: int, now: float = 0.0, flying: bool = True) -> Table:
    """Trials in the order of `mammo-search trials`, those in flight below.

    Args:
        board: The search.
        rows: At most so many.
        width: Columns of the terminal; narrow ones are shown less of the hyperparameters.
        now: Seconds of a monotonic clock.
        flying: Whether the search is on; after it only the best trials are listed.
    """
    columns = [title for title, least in _COLUMNS.items() if width >= least]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for title in columns:
        table.add_column(title, justify="left" if title in _AT_THE_LEFT else "right", no_wrap=True)
    in_flight = list(board.running.values())[: max(1, rows - 2)] if flying else []
    free = max(0, rows - len(in_flight))
    rank = ranks(board.records)
    for record in shown_trials(board.records, free, newest=free // 2 if flying else 0):
        failed, best = record.status == "failed", rank.get(record.trial) == 1
        state, style = ("failed", "red") if failed else ("best", "bold green") if best else ("done", "")
        row = _row(record, state, record.hyperparameters, record.seconds)
        table.add_row(*(row[title] for title in columns), style=style)
    for flight in in_flight:
        row = _row(flight.assignment, "running", vars(flight.configuration), max(0.0, now - flight.began))
        table.add_row(*(row[title] for title in columns), style="cyan")
    return table


def shown_trials(records: Sequence[TrialRecord], rows: int, *, newest: int) -> list[TrialRecord]:
    """Trials for a number of rows, in the order of every table: the best ones, and the last ones that have ended.

    Where there is no room for all, those go first that were promoted, for the trials that continue them say more.

    Args:
        records: All trials, in the order in which they ended.
        rows: At most so many.
        newest: How many rows are kept for the last ones.
    """
    if len(records) > rows:
        continued = {record.parent for record in records}
        records = [record for record in records if record.trial not in continued]
    best = best_first(records)[: max(0, rows - newest)]
    taken = {record.trial for record in best}
    last = [record for record in records if record.trial not in taken][-newest:] if newest else []
    return best_first([*best, *last])


def counts_line(board: SearchClock) -> Text:
    """How many trials are in which state."""
    done, running = sum(record.status == "completed" for record in board.records), len(board.running)
    line = Text(f"{done} done", style="green", no_wrap=True, overflow="ellipsis")
    others = (
        (len(board.records) - done, "failed", "red"),
        (running, "running", "cyan"),
        (max(0, board.plan.trials - done - running), "to come", "dim"),
    )
    for count, state, style in others:
        if count:
            line.append(f", {count} {state}", style=style)
    return line


def _search_bars(bars: Table, board: SearchClock, now: float) -> None:
    total, done = board.plan.epochs, board.epochs_done
    bar = ProgressBar(total=total, completed=done)
    bars.add_row("search", bar, f"epoch {int(done)}/{total}", _left(board.seconds_left(now)))
    workers = [(name, *place) for name, place in board.at_work().items() if place[0] in board.running]
    for name, trial, fold in workers[:_MOST_WORKERS]:
        flight = board.running[trial]
        reached = flight.reached.get(fold, flight.assignment.initial_epoch)
        bars.add_row(
            name,
            ProgressBar(total=flight.epochs_a_fold, completed=reached - flight.assignment.initial_epoch),
            f"trial {trial} fold {fold + 1}/{board.folds} epoch {reached}/{flight.assignment.epochs}",
            "",
        )
    if workers:
        return
    for flight in list(board.running.values())[:1]:
        total = flight.epochs_a_fold * board.folds
        others = f" (and {len(board.running) - 1} more)" if len(board.running) > 1 else ""
        bars.add_row(
            f"trial {flight.trial}{others}",
            ProgressBar(total=total, completed=flight.fold_epochs),
            f"fold {flight.fold + 1}/{board.folds} epoch {flight.epoch}/{flight.assignment.epochs}",
            _left(board.trial_seconds_left(flight, now)),
        )


_MOST_WORKERS = 8
"""Of more, the first are shown."""


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"{duration(seconds)} left"


# Title and the width of a terminal from which a column is shown.
_COLUMNS = {
    "trial": 0,
    "state": 0,
    "b/r": 0,
    "epochs": 0,
    "macro AUC": 0,
    "depth": 0,
    "width": 64,
    "lr": 72,
    "dropout": 90,
    "l2": 90,
    "time": 78,
}
_AT_THE_LEFT = ("state", "b/r")


def _row(trial: TrialRecord | Assignment, state: str, values: Mapping[str, Any], seconds: float) -> dict[str, str]:
    """What stands in each column."""
    empty = dict.fromkeys(_COLUMNS, "")
    return empty | {
        "trial": str(trial.trial),
        "state": state,
        "b/r": f"{trial.bracket}/{trial.rung}",
        "epochs": epochs_text(trial.initial_epoch, trial.epochs),
        "macro AUC": objective_text(trial) if isinstance(trial, TrialRecord) else "",
        **{short_name(name): hyperparameter_text(value) for name, value in values.items()},
        "time": short_duration(seconds),
    }


def trial_line(record: TrialRecord, planned: int) -> str:
    """One finished trial as a line of text, of some 110 characters: a notebook's cell holds no more.

    Args:
        record: The trial.
        planned: How many the plan has.
    """
    values = record.hyperparameters
    lr, dropout, l2 = (hyperparameter_text(values[name]) for name in ("learning_rate", "dropout", "l2"))
    result = f"failed: {record.error}" if record.status == "failed" else f"AUC {objective_text(record) or 'n/a':12}"
    width = len(str(planned))
    return (
        f"trial {record.trial:>{width}}  {record.trial + 1:>{width}}/{planned}  "
        f"epochs {epochs_text(record.initial_epoch, record.epochs):<5}  {result}  depth {values['unfreeze_depth']} "
        f"width {values['head_width']:<4} lr {lr:<8} dropout {dropout:<6} l2 {l2:<8}  "
        f"{short_duration(record.seconds):>6}"
    )
