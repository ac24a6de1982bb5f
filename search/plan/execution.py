"""What comes next in a plan: a pure function of the plan and of what has happened so far.

Nothing else decides which run starts. Because the answer depends on the history alone, a search that was stopped
anywhere goes on where it was, and because rungs are barriers and ties go to the lower run number, the order in which
parallel runs finish changes nothing.

When a search with ``search.max_minutes`` starts no further run.

What a search tells whoever shows it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from reports.trials import TrialRecord
from search.plan.hyperband import HyperbandPlan
from search.plan.space import Configuration


@dataclass(frozen=True)
class RunState:
    """A run that has been started.

    Attributes:
        run: Number in the order of starting, from 0.
        configuration: Number of its configuration.
        bracket: Position of its bracket in ``plan.brackets``.
        rung: Position of its rung in the bracket.
        status: Where it stands.
        objective: Its score, higher is better; None unless completed.
    """

    run: int
    configuration: int
    bracket: int
    rung: int
    status: Literal["running", "completed", "failed"]
    objective: float | None = None


@dataclass(frozen=True)
class Assignment:
    """A run to start: which configuration, from whose state, over which epochs."""

    configuration: int
    bracket: int
    rung: int
    parent: int | None
    initial_epoch: int
    epochs: int


def next_assignment(
    plan: HyperbandPlan, history: Sequence[RunState], *, drawn: int
) -> Assignment | Literal["wait", "done"]:
    """Decide the next run.

    A failed run in a first rung is replaced by a spare configuration while there are any, and a failed promotion by
    the next-best candidate, both only once the others of its rung have ended (so that the numbering does not depend
    on when the failure came). A rung that still lacks runs promotes what it has.

    Args:
        plan: The plan.
        history: All runs started so far, in the order of their numbers.
        drawn: How many configurations there are, spares included; fewer than planned in an exhausted discrete space.

    Returns:
        The assignment, "wait" while a barrier waits for running ones, or "done".
    """
    fresh = sum(state.rung == 0 for state in history)
    for bracket_position, bracket in enumerate(plan.brackets):
        promotable: list[RunState] = []
        for rung_position, rung in enumerate(bracket.rungs):
            here = [state for state in history if (state.bracket, state.rung) == (bracket_position, rung_position)]
            running = sum(state.status == "running" for state in here)
            completed = [state for state in here if state.status == "completed"]
            planned = rung.runs if rung_position == 0 else min(rung.runs, len(promotable))
            # Places are first filled in order; only at the barrier are those of failed runs filled again.
            if len(here) < planned or (not running and len(completed) < planned):
                tried = {state.configuration for state in here}
                candidates = [state for state in promotable if state.configuration not in tried]
                if rung_position == 0 and fresh < drawn:
                    return Assignment(fresh, bracket_position, 0, None, 0, rung.epochs)
                if rung_position > 0 and candidates:
                    best = candidates[0]
                    return Assignment(
                        best.configuration, bracket_position, rung_position, best.run, rung.initial_epoch, rung.epochs
                    )
            if running:
                return "wait"
            promotable = sorted(completed, key=lambda state: (-_score(state), state.run))
    return "done"


def _score(state: RunState) -> float:
    # A run whose objective is defined nowhere is recorded as failed, and is no candidate. Nothing sorts by NaN: one
    # that a caller calls completed all the same ranks last.
    return state.objective if state.objective is not None and state.objective == state.objective else float("-inf")


def promotable_runs(plan: HyperbandPlan, history: Sequence[RunState], *, drawn: int) -> frozenset[int]:
    """Runs whose state is worth keeping; all other checkpoints can be deleted.

    These are the runs of a rung that would be promoted if it ended now. Another one is promoted only where a promoted
    run fails; it is then trained again from its first epoch, to the same bits.

    Args:
        plan: The plan.
        history: All runs started so far.
        drawn: As for ``next_assignment``.
    """
    # Whatever is running counts as failed here: that is the history that asks for the most parents.
    settled = [replace(state, status="failed") if state.status == "running" else state for state in history]
    coming = next_assignment(plan, settled, drawn=drawn)
    if not isinstance(coming, Assignment):
        return frozenset()
    rungs = plan.brackets[coming.bracket].rungs
    kept: set[int] = set()
    for position in range(max(coming.rung - 1, 0), len(rungs) - 1):
        completed = [
            state
            for state in history
            if (state.bracket, state.rung, state.status) == (coming.bracket, position, "completed")
        ]
        completed.sort(key=lambda state: (-_score(state), state.run))
        kept |= {state.run for state in completed[: rungs[position + 1].runs]}
    return frozenset(kept)


@dataclass(frozen=True)
class TimeBound:
    """Bounds of a search; without any it goes on to the end of its plan.

    Attributes:
        deadline: ``time.monotonic()`` after which no run is started but the first: without it there is nothing to
            retrain.
        runs: How many runs the search had when it ended, if it has ended before. What follows a search must not
            change it: the held-out patients may have been read since.
    """

    deadline: float | None = None
    runs: int | None = None

    def is_reached(self, started: int) -> bool:
        """Whether a search that has started so many runs starts no other."""
        if self.runs is not None:
            return started >= self.runs
        return started > 0 and self.deadline is not None and time.monotonic() > self.deadline


def time_bound(minutes: float | None, finished: Sequence[TrialRecord], *, runs: int | None = None) -> TimeBound:
    """The bound of a search that begins or goes on.

    Args:
        minutes: ``search.max_minutes``.
        finished: Runs of an earlier part; the time that they took is spent.
        runs: How many there were when the search ended, if it has.
    """
    if minutes is None:
        return TimeBound(runs=runs)
    return TimeBound(time.monotonic() + 60 * minutes - sum(record.seconds for record in finished), runs)


class SearchListener(Protocol):
    """Whoever shows the search."""

    def run_begins(self, run: int, assignment: Assignment, configuration: Configuration) -> None:
        """A run starts."""

    def epoch_ended(self, run: int, fold: int, epoch: int) -> None:
        """One fold of a run has trained one more epoch."""

    def run_ended(self, record: TrialRecord) -> None:
        """A run is finished and recorded."""


@dataclass(frozen=True)
class SearchOutcome:
    """What a search found.

    Attributes:
        records: All runs, in their order.
        winner: The best run at the full budget.
        configuration: Its configuration.
        cut_short: Whether the bound of time ended it before its plan was carried out.
    """

    records: tuple[TrialRecord, ...]
    winner: TrialRecord
    configuration: Configuration
    cut_short: bool = False
