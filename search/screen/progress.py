"""The progress of a run, shown on stderr and in its log.

On a terminal a table of trials and two bars are kept up to date below what has been said. Elsewhere, in a file, a
notebook or the log of a build, each trial is a line; between lines there is one a minute that says how far it is. The
log has the lines in any case, with their times, among what the libraries write into it.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from rich.console import Console, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from mammo_data.waiting import SAID_AFTER_SECONDS
from reports import TrialRecord
from search.plan.clock import SearchClock
from search.plan.execution import Assignment
from search.plan.job_clock import JobClock
from search.plan.space import Configuration
from search.screen.layout import Station, layout, trial_line, trials_table
from search.screen.output import following, redraws
from search.text import duration, rounded

Detail = Literal["quiet", "normal", "verbose"]
"""Nothing; what a run does; that with a line an epoch and what the libraries log."""

_REFRESH_SECONDS = 0.5
_LABEL_WIDTH = 10
_LINE_EVERY_SECONDS = 60.0
_WORTH_SAYING_SECONDS = 2.0


class RunProgress:
    """Shows the stations of a run, and listens to its search.

    Args:
        console: Where to; the program's stderr.
        log: File that every line is also written to.
        detail: How much is shown.

    Attributes:
        clock: The job's; what it is told beside what is shown here, the protocol tells it.
    """

    def __init__(self, console: Console, *, log: Path | None = None, detail: Detail = "normal") -> None:
        self.console = console
        self._log = log
        self._detail = detail if log is not None or detail != "verbose" else "normal"
        self._live = detail == "normal" and redraws(console)
        self._said_at = time.monotonic()
        self.clock = JobClock(self._said_at)
        self._board: SearchClock | None = None
        self._stations: list[Station] = []
        self._waiting_since = 0.0
        # Events come from the thread that trains, drawing has one of its own.
        self._lock = threading.RLock()

    @contextmanager
    def shown(self) -> Iterator[RunProgress]:
        """Show what goes on inside the block."""
        with ExitStack() as stack:
            if self._live:
                live = Live(
                    console=self.console,
                    refresh_per_second=1 / _REFRESH_SECONDS,
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                    get_renderable=self._layout,
                )
                stack.enter_context(live)
            elif self._detail == "verbose" and self._log is not None:
                stack.enter_context(following(self._log, self.console.file))  # type: ignore[arg-type]
            yield self

    def say(self, message: str) -> None:
        """A line, with rich's markup."""
        self._record(Text.from_markup(message).plain)
        self._print(Text.from_markup(message))

    def fact(self, label: str, text: str, *, style: str = "") -> None:
        """A line of the header: what is searched, on what, how long.

        Args:
            label: One word; "" goes on with the fact before.
            text: As it stands, without markup; further lines stand below the first.
            style: Rich's name of a colour.
        """
        for number, line in enumerate(text.splitlines()):
            labelled = f"{'' if number else label:{_LABEL_WIDTH - 1}} "
            self._record(labelled + line.strip())
            shown = Text(labelled, "dim"), Text(line.strip(), style)
            if self._live:  # lines that are too long go on behind the label
                hanging = Table.grid(Column(width=_LABEL_WIDTH), Column())
                hanging.add_row(*shown)
            self._print(hanging if self._live else Text.assemble(*shown))

    def note(self, text: str) -> None:
        """A line about what the user may want to know, as it stands."""
        self.fact("note", text, style="yellow")

    def waits(self, words: str) -> None:
        """Another process is waited for, in words; "" when that is over."""
        now = time.monotonic()
        if words:
            self._waiting_since = now - SAID_AFTER_SECONDS
            self.note(words)
        else:
            self.fact("note", f"waited {duration(now - self._waiting_since)}")

    @contextmanager
    def station(self, name: str, *, brief: bool = False, unit: int = 1) -> Iterator[Callable[[int, int], None]]:
        """A part of the job; yields the callback (done, total) that moves its bar.

        Args:
            name: What it is called.
            brief: Whether nobody cares afterwards how long it took.
            unit: How much of what the callback is told is shown as one, for example 1,000,000 bytes.
        """
        station = Station(name, time.monotonic())

        def moved(done: int, total: int) -> None:
            done, total = done // unit, total // unit
            with self._lock:
                station.first = done if station.total is None else station.first
                station.done, station.total = done, total
            if done < total and self._is_long_ago(now := time.monotonic()):
                left = station.seconds_left(now)
                self.say(f"{name}  {done}/{total}" + (f", {duration(left)} left" if left is not None else ""))

        with self._lock:
            self._stations.append(station)
        try:
            yield moved
            seconds = time.monotonic() - station.began
            self.clock.part_ended(name, seconds, first=station.first, total=station.total)
            worth_saying = not brief and seconds >= _WORTH_SAYING_SECONDS
            if worth_saying and (self._live or seconds >= _LINE_EVERY_SECONDS):
                self.fact(name, duration(seconds))
            elif worth_saying:
                self._record(f"{name:{_LABEL_WIDTH - 1}} {duration(seconds)}")
        finally:
            with self._lock:
                self._stations.remove(station)

    @contextmanager
    def search(self, board: SearchClock) -> Iterator[None]:
        """The search, whose events then change the board.

        Args:
            board: Its state before the first trial that is trained now.
        """
        began, before = time.monotonic(), len(board.records)
        with self._lock:
            self._board = board
            self.clock.search_begins(board)
        if before and (left := self.clock.seconds_left(began)) is not None:
            self.fact("time", f"about {rounded(left)} left")
        try:
            yield
            if self._live:
                self.console.print(Padding(trials_table(board, rows=5, width=self.console.width, flying=False), (1, 0)))
            self.fact("search", f"{len(board.records) - before} trials in {duration(time.monotonic() - began)}")
            self.clock.search_ends()
        finally:
            with self._lock:
                self._board = None

    def trial_begins(self, trial: int, assignment: Assignment, configuration: Configuration) -> None:
        """A trial starts."""
        with self._lock:
            if self._board is not None:
                self._board.begin(trial, assignment, configuration, time.monotonic())

    def epoch_ended(self, trial: int, fold: int, epoch: int) -> None:
        """One fold of a trial has trained one more epoch."""
        with self._lock:
            board = self._board
            if board is not None:
                board.epoch_ended(trial, fold, epoch, time.monotonic())
        if self._detail == "verbose" and board is not None and trial in board.running:
            self.say(
                f"trial {trial}  {trial + 1}/{board.plan.trials}  fold {fold + 1}/{board.folds}  "
                f"epoch {epoch}/{board.running[trial].assignment.epochs}"
            )
        elif board is not None and trial in board.running and self._is_long_ago(now := time.monotonic()):
            left = self.clock.seconds_left(now)
            self.say(
                f"trial {trial}  fold {fold + 1}/{board.folds}  "
                f"epoch {epoch}/{board.running[trial].assignment.epochs}"
                + (f", about {rounded(left)} left of the whole run" if left is not None else "")
            )

    def trial_ended(self, record: TrialRecord) -> None:
        """A trial is finished."""
        with self._lock:
            board = self._board
            if board is not None:
                board.end(record)
        line = trial_line(record, board.plan.trials if board is not None else record.trial + 1)
        self._record(line)
        if not self._live:
            self._print(Text(line))

    def _record(self, line: str) -> None:
        if self._log is not None:
            stamp = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
            with self._log.open("a", encoding="utf-8") as file:
                file.writelines(f"{stamp}  {part}\n" for part in line.splitlines())

    def _is_long_ago(self, now: float) -> bool:
        """Whether nothing has been said for so long, where nothing else shows that it goes on."""
        return not self._live and now - self._said_at >= _LINE_EVERY_SECONDS

    def _print(self, line: RenderableType) -> None:
        self._said_at = time.monotonic()
        if self._live:
            self.console.print(line, highlight=False)
        elif self._detail == "normal":
            self.console.print(line, highlight=False, soft_wrap=True)

    def _layout(self) -> RenderableType:
        width, height = self.console.size
        with self._lock:
            now = time.monotonic()
            at_work = [(each.name, each.began, each.seconds_left(now)) for each in self._stations]
            left = self.clock.seconds_left(now, at_work)
            return layout(self._board, self._stations, width=width, height=height, now=now, left=left)
