"""Order of a search: which trial comes next, from the plan and from what has happened so far, and nothing else.

Because the answer depends on the history alone, a search that was stopped anywhere goes on where it was. A trial's
number is its place in the plan (bracket, rung, slot), those that replace failed ones have places of their own after all
planned ones, brackets share nothing, rungs are barriers, and ties go to the lower number: so neither the order in which
parallel trials end nor the moment of a failure changes anything.

Beside it: when a search with ``search.max_minutes`` starts no further trial, and what it tells whoever shows it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar

from reports.trials import TrialRecord, best_trial
from search.plan.hyperband import HyperbandPlan
from search.plan.space import Configuration

Status = Literal["running", "completed", "failed"]


@dataclass(frozen=True)
class TrialState:
    """A trial that has been started.

    Attributes:
        trial: Its number.
        configuration: Number of its configuration.
        bracket: Position of its bracket in ``plan.brackets``.
        rung: Position of its rung in the bracket.
        status: Where it stands.
        objective: Its score, higher is better; None unless completed.
    """

    trial: int
    configuration: int
    bracket: int
    rung: int
    status: Status
    objective: float | None = None


@dataclass(frozen=True)
class Assignment:
    """A trial to start: its number, which configuration, from whose state, over which epochs."""

    trial: int
    configuration: int
    bracket: int
    rung: int
    parent: int | None
    initial_epoch: int
    epochs: int


_Placed = TypeVar("_Placed", TrialState, Assignment, TrialRecord)


def next_assignment(
    plan: HyperbandPlan,
    history: Sequence[TrialState],
    *,
    over: set[int] | None = None,
    urgency: Callable[[Assignment], float] | None = None,
) -> Assignment | Literal["wait", "done"]:
    """Decide the next trial: that of the first bracket which has one.

    Args:
        plan: The plan, limited to the configurations that there are.
        history: All trials started so far, in any order.
        over: Brackets that were over after a part of this history, and so are for good; those that now are, are added.
        urgency: Where given, the most urgent of all brackets' next trials is taken, of equal ones that of the first.

    Returns:
        The assignment, "wait" while barriers wait for running trials, or "done".
    """
    over = set() if over is None else over
    waits, places = False, by_place(state for state in history if state.bracket not in over)
    startable: list[Assignment] = []
    for bracket in range(len(plan.brackets)):
        if bracket in over:
            continue
        coming = _next_in_bracket(plan, bracket, places)
        if isinstance(coming, Assignment):
            if urgency is None:
                return coming
            startable.append(coming)
        waits |= coming == "wait"
        if coming == "done":
            over.add(bracket)
    if urgency is not None and startable:
        return max(startable, key=urgency)
    return "wait" if waits else "done"


def longest_way(plan: HyperbandPlan, assignment: Assignment, epoch_seconds: Callable[[int], float]) -> float:
    """Seconds until the bracket of a trial can be over, were there a worker for everything: the critical path.

    Args:
        plan: The plan.
        assignment: The trial.
        epoch_seconds: Configuration to the cost of an epoch.
    """
    rungs = plan.brackets[assignment.bracket].rungs
    later = sum(rung.epochs - rung.initial_epoch for rung in rungs[assignment.rung + 1 :])
    slowest = max(map(epoch_seconds, plan.configurations_of(assignment.bracket)))
    return (assignment.epochs - assignment.initial_epoch) * epoch_seconds(assignment.configuration) + later * slowest


def next_in_bracket(
    plan: HyperbandPlan, bracket: int, history: Sequence[TrialState]
) -> Assignment | Literal["wait", "done"]:
    """Decide the next trial of one bracket.

    A failed trial in a first rung is replaced by a spare configuration while the bracket has any, and a failed
    promotion by the next-best candidate, both only once the others of its rung have ended (so that who replaces whom
    does not depend on when the failure came). A rung that still lacks trials promotes what it has.
    """
    return _next_in_bracket(plan, bracket, by_place(history))


def by_place(trials: Iterable[_Placed]) -> Mapping[tuple[int, int], Sequence[_Placed]]:
    """Bracket and rung to the trials there, none where there are none.

    A long search has hundreds of brackets, and each is asked after every trial.
    """
    places: defaultdict[tuple[int, int], list[_Placed]] = defaultdict(list)
    for trial in trials:
        places[trial.bracket, trial.rung].append(trial)
    return places


def _next_in_bracket(
    plan: HyperbandPlan, bracket: int, places: Mapping[tuple[int, int], Sequence[TrialState]]
) -> Assignment | Literal["wait", "done"]:
    candidates: list[tuple[int, int | None]] = [(number, None) for number in plan.configurations_of(bracket)]
    for position, rung in enumerate(plan.brackets[bracket].rungs):
        here = places[bracket, position]
        running = any(state.status == "running" for state in here)
        completed = _ranked(here)
        planned = min(rung.trials, len(candidates))
        # Places are first filled in order; only at the barrier are those of failed trials filled again.
        if len(here) < planned or (not running and len(completed) < planned):
            tried = {state.configuration for state in here}
            for configuration, parent in candidates:
                if configuration not in tried:
                    first, first_replacing = plan.numbers[bracket][position]
                    number = first + len(here) if len(here) < planned else first_replacing + len(here) - planned
                    return Assignment(number, configuration, bracket, position, parent, rung.initial_epoch, rung.epochs)
        if running:
            return "wait"
        candidates = [(state.configuration, state.trial) for state in completed]
    return "done"


def _ranked(states: Sequence[TrialState]) -> list[TrialState]:
    """The completed ones, best first."""

    def score(state: TrialState) -> float:
        # Nothing sorts by NaN: one that a caller calls completed all the same ranks last.
        return state.objective if state.objective is not None and state.objective == state.objective else float("-inf")

    completed = [state for state in states if state.status == "completed"]
    return sorted(completed, key=lambda state: (-score(state), state.trial))


def promotable_trials(
    plan: HyperbandPlan, history: Sequence[TrialState], *, over: Collection[int] = ()
) -> frozenset[int]:
    """Trials whose state is worth keeping; all other checkpoints can be deleted.

    These are the trials of a rung that would be promoted if it ended now. Another one is promoted only where a promoted
    trial fails; it is then trained again from its first epoch, to the same bits.

    Args:
        plan: The plan, limited to the configurations that there are.
        history: All trials started so far.
        over: Brackets that are known to be over, as `next_assignment` tells.
    """
    history = [state for state in history if state.bracket not in over]
    # Whatever is running counts as failed here: that is the history that asks for the most parents.
    settled = [replace(state, status="failed") if state.status == "running" else state for state in history]
    places, settled_places, kept = by_place(history), by_place(settled), set[int]()
    for number in {state.bracket for state in history}:
        bracket, coming = plan.brackets[number], _next_in_bracket(plan, number, settled_places)
        if isinstance(coming, Assignment):
            for position in range(max(coming.rung - 1, 0), len(bracket.rungs) - 1):
                here = places[number, position]
                kept |= {state.trial for state in _ranked(here)[: bracket.rungs[position + 1].trials]}
    return frozenset(kept)


@dataclass(frozen=True)
class TimeBound:
    """Bounds of a search; without any it goes on to the end of its plan.

    Attributes:
        deadline: ``time.monotonic()`` after which no trial is started but the first: without it there is nothing to
            retrain.
        trials: How many trials the search had when it ended, if it has ended before. What follows a search must not
            change it: the held-out patients may have been read since.
    """

    deadline: float | None = None
    trials: int | None = None

    def is_reached(self, started: int) -> bool:
        """Whether a search that has started so many trials starts no other."""
        if self.trials is not None:
            return started >= self.trials
        return started > 0 and self.deadline is not None and time.monotonic() > self.deadline


def time_bound(
    minutes: float | None, finished: Sequence[TrialRecord], *, trials: int | None = None, workers: int = 1
) -> TimeBound:
    """The bound of a search that begins or goes on.

    Args:
        minutes: ``search.max_minutes``.
        finished: Trials of an earlier part; the time that they took is spent.
        trials: How many there were when the search ended, if it has.
        workers: How many train at a time, before as now: so many trials took their time beside each other.
    """
    if minutes is None:
        return TimeBound(trials=trials)
    return TimeBound(time.monotonic() + 60 * minutes - sum(record.seconds for record in finished) / workers, trials)


class SearchListener(Protocol):
    """Whoever shows the search."""

    def trial_begins(self, trial: int, assignment: Assignment, configuration: Configuration) -> None:
        """A trial starts."""

    def epoch_ended(self, trial: int, fold: int, epoch: int) -> None:
        """One fold of a trial has trained one more epoch."""

    def trial_ended(self, record: TrialRecord) -> None:
        """A trial is finished and recorded."""


@dataclass(frozen=True)
class SearchOutcome:
    """What a search found.

    Attributes:
        records: All trials, in the order of the plan.
        winner: The best one at the most epochs that any has completed: the full budget, if the search came so far.
        configuration: Its configuration.
        cut_short: Whether the bound of time ended the search before its plan was carried out.
    """

    records: tuple[TrialRecord, ...]
    winner: TrialRecord
    configuration: Configuration
    cut_short: bool = False

    @classmethod
    def of(cls, records: Sequence[TrialRecord], *, cut_short: bool = False) -> SearchOutcome:
        """The outcome of a search with these trials.

        Raises:
            ReportError: If none of them completed.
        """
        winner = best_trial(records)
        return cls(tuple(records), winner, Configuration.from_values(winner.hyperparameters), cut_short)
