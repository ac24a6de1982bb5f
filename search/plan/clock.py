"""The clock of a search: what is done and in flight, and how long the rest will take.

Every time that a user is told comes from here: of a dry run and of a run's header before anything is measured, of the
live view, and of `status`, which reads what has ended from the run's folder.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from reports.trials import TrialRecord
from search.config.schema import Config
from search.plan.cost import CostModel, RungLeft, remaining_rungs
from search.plan.execution import Assignment
from search.plan.hyperband import HyperbandPlan
from search.plan.protocol import planned_configurations
from search.plan.schedule import makespan
from search.plan.space import Configuration

Shape = tuple[int, int]
"""Unfreeze depth and head width: what a compiled graph is made for."""
# Making the graphs of a new shape, where nobody has an idea.
_ROUGH_SETUP_SECONDS = 5.0
# Counts of trials are sums of shares.
_ROUNDING = 1e-6


@dataclass
class TrialInFlight:
    """A trial that is being trained.

    Attributes:
        trial: Its number.
        assignment: What it trains.
        configuration: Its hyperparameters.
        began: When, in seconds of a monotonic clock.
        fold: The fold that has last finished an epoch, from 0.
        epoch: That epoch.
        fold_epochs: Epochs that are done, all folds together.
        reached: Fold to its last finished epoch, of those that have had one.
        trained: Epochs that were trained since ``began``; others were kept from before an interruption.
        setup: Seconds from ``began`` to the end of the first epoch.
        last: When the last epoch ended.
    """

    trial: int
    assignment: Assignment
    configuration: Configuration
    began: float
    fold: int = 0
    epoch: int = 0
    fold_epochs: int = 0
    reached: dict[int, int] = field(default_factory=dict)
    trained: int = 0
    setup: float = 0.0
    last: float = 0.0

    @property
    def epochs_a_fold(self) -> int:
        """Epochs that this trial trains on each fold."""
        return self.assignment.epochs - self.assignment.initial_epoch

    @property
    def epoch_seconds(self) -> float | None:
        """Mean time of an epoch of one fold after the first, which also waits for a graph; None before there is one."""
        if self.trained < 2:
            return None
        return (self.last - self.began - self.setup) / (self.trained - 1)


@dataclass
class SearchClock:
    """The state of a search, changed by its events.

    Attributes:
        plan: The plan.
        folds: Folds of a trial.
        records: Finished trials, in the order in which they ended.
        costs: What epochs cost; it learns from each finished trial.
        depths: Unfreeze depths of the space.
        configurations: Configurations by their numbers, as far as they are drawn.
        builds: Unfreeze depth to what making a graph is believed to take.
        workers: How many folds are trained at a time.
        at_work: Gives, by a worker's name, the trial and the fold that it trains; nothing where one process does all.
        running: Trials in flight, by number.
    """

    plan: HyperbandPlan
    folds: int
    records: list[TrialRecord]
    costs: CostModel = field(default_factory=CostModel)
    depths: Sequence[int] = (0,)
    configurations: dict[int, Configuration] = field(default_factory=dict)
    builds: Mapping[int, float] = field(default_factory=dict)
    workers: int = 1
    at_work: Callable[[], Mapping[str, tuple[int, int]]] = dict
    running: dict[int, TrialInFlight] = field(default_factory=dict)
    _built: set[Shape] = field(default_factory=set)
    _setups: list[tuple[int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for record in self.records:
            if record.status == "completed":
                self.configurations[record.configuration] = Configuration.from_values(record.hyperparameters)
        self.costs.learn_from(self.records, self.folds)

    def begin(self, trial: int, assignment: Assignment, configuration: Configuration, now: float) -> None:
        """A trial starts."""
        self.configurations[assignment.configuration] = configuration
        self.running[trial] = TrialInFlight(trial, assignment, configuration, now, epoch=assignment.initial_epoch)

    def epoch_ended(self, trial: int, fold: int, epoch: int, now: float) -> None:
        """One more epoch of one fold."""
        flight = self.running.get(trial)
        if flight is None:
            return
        flight.fold, flight.epoch, flight.last = fold, epoch, now
        flight.reached[fold] = epoch
        flight.trained += 1
        if flight.trained == 1:
            flight.setup = now - flight.began
        done = fold * flight.epochs_a_fold + epoch - flight.assignment.initial_epoch
        # Of several workers nobody knows which folds were kept from before an interruption.
        flight.fold_epochs = max(flight.fold_epochs, done) if self.workers == 1 else flight.trained

    def end(self, record: TrialRecord) -> None:
        """A trial is finished."""
        flight = self.running.pop(record.trial, None)
        self.records.append(record)
        if flight is None or flight.epoch_seconds is None:
            return
        depth, seconds = flight.configuration.unfreeze_depth, flight.epoch_seconds * flight.trained
        if self.workers > 1:  # each epoch took a worker so long, while others were at work
            seconds = record.seconds - record.build_seconds
        self.costs.learn(depth, flight.trained, seconds)
        shape = _shape(flight.configuration)
        if shape not in self._built:
            self._built.add(shape)
            self._setups.append((shape[0], max(0.0, flight.setup - flight.epoch_seconds)))

    @property
    def epochs_done(self) -> float:
        """Epochs of the plan that are trained; an epoch of one fold is its part of one."""
        whole = sum(record.epochs - record.initial_epoch for record in self.records if record.status == "completed")
        return min(self.plan.epochs, whole + sum(flight.fold_epochs for flight in self.running.values()) / self.folds)

    def trial_seconds_left(self, flight: TrialInFlight, now: float) -> float | None:
        """Until a trial in flight ends, were it alone; None while nothing is known."""
        left = flight.epochs_a_fold * self.folds - flight.fold_epochs
        pace = flight.epoch_seconds if self.workers == 1 else None
        if pace is None:
            if not self.costs.is_known:
                return None
            pace = self.costs.seconds(flight.configuration.unfreeze_depth)
        built = flight.trained or _shape(flight.configuration) in self._built
        setup = 0.0 if built else self._setup_seconds(flight.configuration.unfreeze_depth)
        since = now - (flight.last if flight.trained else flight.began)
        return max(left * pace + setup - since, (left - 1) * pace, 0.0)

    def seconds_left(self, now: float) -> float | None:
        """Until the search ends; None while nothing is known."""
        if not self.costs.is_known:
            return None
        assignments = {trial: flight.assignment for trial, flight in self.running.items()}
        depth_of = {number: configuration.unfreeze_depth for number, configuration in self.configurations.items()}
        left = remaining_rungs(self.plan, self.records, assignments, depth_of=depth_of, depths=self.depths)
        cost = functools.cache(self.costs.seconds)
        folds = [[self._folds_of(rung, cost) for rung in rungs] for rungs in left]
        for flight in self.running.values():
            folds[flight.assignment.bracket][flight.assignment.rung] += self._folds_in_flight(flight, now)
        # Graphs beside them, one a shape: workers are preferred for the shapes that they have built.
        folds.append([[self._setup_seconds(depth) for depth, _ in self._shapes_to_come()]])
        return makespan(folds, self.workers)

    def _folds_of(self, rung: RungLeft, cost: Callable[[int], float]) -> list[float]:
        """Seconds of each fold that nobody has begun; of an undecided promotion those of a mean candidate."""
        seconds = {depth: rung.epochs * cost(depth) for depth in rung.trials}
        if all(abs(count - round(count)) < _ROUNDING for count in rung.trials.values()):
            return [seconds[depth] for depth, count in rung.trials.items() for _ in range(round(count) * self.folds)]
        trials = sum(rung.trials.values())
        mean = sum(count * seconds[depth] for depth, count in rung.trials.items()) / trials
        return [mean] * (round(trials) * self.folds)

    def _folds_in_flight(self, flight: TrialInFlight, now: float) -> list[float]:
        """Seconds of each fold that is not done: its part of what is left of the trial."""
        assignment, whole = flight.assignment, self.trial_seconds_left(flight, now) or 0.0
        reached = (flight.reached.get(fold, assignment.initial_epoch) for fold in range(self.folds))
        left = [assignment.epochs - epoch for epoch in reached if epoch < assignment.epochs]
        return [whole * epochs / sum(left) for epochs in left]

    def _setup_seconds(self, depth: int) -> float:
        """Making a graph of this depth: what is believed, by what was measured."""
        measured = [seconds for _, seconds in self._setups]
        if not self.builds:
            return statistics.fmean(measured) if measured else _ROUGH_SETUP_SECONDS
        return self.builds.get(depth, max(self.builds.values())) * (self.longer_to_build or 1.0)

    @property
    def longer_to_build(self) -> float | None:
        """How many times as long graphs took as was believed; None before there is one."""
        believed = sum(self.builds.get(depth, 0.0) for depth, _ in self._setups)
        return sum(seconds for _, seconds in self._setups) / believed if believed else None

    def _shapes_to_come(self) -> set[Shape]:
        """Shapes that fresh configurations of the plan will need and that nobody has built."""
        fresh = sum(record.rung == 0 for record in self.records)
        fresh += sum(flight.assignment.rung == 0 for flight in self.running.values())
        coming = range(fresh, self.plan.configurations)
        shapes = {_shape(self.configurations[number]) for number in coming if number in self.configurations}
        return shapes - self._built - {_shape(flight.configuration) for flight in self.running.values()}


def _shape(configuration: Configuration) -> Shape:
    return configuration.unfreeze_depth, configuration.head_width


def search_clock(
    config: Config,
    plan: HyperbandPlan,
    costs: CostModel,
    finished: Sequence[TrialRecord] = (),
    *,
    builds: Mapping[int, float] | None = None,
    workers: int = 1,
) -> SearchClock:
    """A search before its first trial, or after the finished ones."""
    folds, drawn = config.search.folds or config.split.folds, planned_configurations(config, plan)
    return SearchClock(plan, folds, list(finished), costs, config.space.depths, drawn, builds or {}, workers=workers)
