"""What a run shows while it works: a bar on a terminal, plain lines elsewhere, everything on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from reports.trial_record import TrialRecord
from search.hyperband_plan import HyperbandPlan
from search.plan_execution import Assignment
from search.space import Configuration


class RunProgress:
    """Shows the stations of a run, and listens to its search.

    Args:
        console: Where to; the program's stderr.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._search: TaskID | None = None
        self._runs = 0

    @contextmanager
    def shown(self) -> Iterator[RunProgress]:
        """Show bars inside the block."""
        with self._bars:
            yield self

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        self.console.print(message, highlight=False, soft_wrap=True)

    @contextmanager
    def station(self, description: str) -> Iterator[Callable[[int, int], None]]:
        """A bar for one station; yields the callback (done, total) that moves it."""
        task = self._bars.add_task(description, total=None)
        try:
            yield lambda done, total: self._bars.update(task, completed=done, total=total)
        finally:
            self._bars.remove_task(task)

    @contextmanager
    def search(self, plan: HyperbandPlan, folds: int, finished: Sequence[TrialRecord] = ()) -> Iterator[None]:
        """A bar for the epochs of the whole plan, folds counted; finished runs stand at its beginning."""
        self._runs = plan.runs
        done = sum(record.epochs - record.initial_epoch for record in finished)
        self._search = self._bars.add_task("search", total=plan.epochs * folds, completed=done * folds)
        try:
            yield
        finally:
            self._bars.remove_task(self._search)
            self._search = None

    def run_begins(self, run: int, assignment: Assignment, configuration: Configuration) -> None:
        """Name the run in flight."""
        if self._search is not None:
            what = f"depth {configuration.unfreeze_depth}, width {configuration.head_width}"
            self._bars.update(self._search, description=f"run {run + 1}/{self._runs} · {what}")

    def epoch_ended(self, run: int, fold: int, epoch: int) -> None:
        """Move the bar."""
        if self._search is not None:
            self._bars.advance(self._search)

    def run_ended(self, record: TrialRecord) -> None:
        """Print the run's line."""
        self.say(run_line(record, self._runs))


def run_line(record: TrialRecord, runs: int) -> str:
    """One finished run as a line of text."""
    values = record.hyperparameters
    result = "AUC  n/a " if record.objective is None else f"AUC {record.objective:.3f}"
    if record.error:
        result = f"[red]failed[/red]: {record.error}"
    width = len(str(runs))
    return (
        f"run {record.run + 1:>{width}}/{runs}  bracket {record.bracket} rung {record.rung}  "
        f"epochs {record.initial_epoch:>2}→{record.epochs:<2}  {result}  depth {values['unfreeze_depth']}  "
        f"width {values['head_width']:<4}  dropout {values['dropout']:<5.3g}  l2 {values['l2']:<8.2g}  "
        f"lr {values['learning_rate']:<8.2g}  {record.seconds:6.1f} s"
    )
