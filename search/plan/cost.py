"""Time of a search: what an epoch of each unfreeze depth costs, times what the plan still holds.

Before the first trial has ended the costs are those of `search.plan.forecast`; after that they are measured.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from reports.trials import TrialRecord
from search.plan.execution import Assignment, by_place
from search.plan.hyperband import HyperbandPlan
from search.plan.space import Configuration

# What an epoch of one fold is believed to cost where nothing is known.
_EPOCH_SECONDS = 0.03
# A measurement of so many epochs weighs as much as the rough figure.
_ROUGH_WEIGHT = 2.0


@dataclass
class CostModel:
    """Seconds of one epoch of one fold, by unfreeze depth; it learns from every finished trial.

    Attributes:
        rough: What is believed before anything was measured.
    """

    rough: Mapping[int, float] = field(default_factory=dict)
    _seconds: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    _epochs: Counter[int] = field(default_factory=Counter)

    def learn_from(self, records: Iterable[TrialRecord], folds: int) -> None:
        """Trials of so many folds have ended; making graphs is left out of their time."""
        for record in records:
            if record.status == "completed":
                fold_epochs = (record.epochs - record.initial_epoch) * folds
                depth = Configuration.from_values(record.hyperparameters).unfreeze_depth
                self.learn(depth, fold_epochs, record.seconds - record.build_seconds)

    @property
    def measured(self) -> dict[int, tuple[float, int]]:
        """Depth to all seconds that were measured, and of how many epochs, folds counted."""
        return {depth: (self._seconds[depth], epochs) for depth, epochs in self._epochs.items() if epochs}

    @property
    def is_known(self) -> bool:
        """Whether there is anything to estimate from."""
        return bool(self.rough or self._epochs)

    def learn(self, depth: int, fold_epochs: int, seconds: float) -> None:
        """A trial of this depth took so long for so many epochs, folds counted."""
        if fold_epochs > 0:
            self._seconds[depth] += seconds
            self._epochs[depth] += fold_epochs

    def seconds(self, depth: int) -> float:
        """Of one epoch of one fold: what was measured, drawn towards the rough figure while that is little.

        Rough figures are corrected by what was measured at all depths together.
        """
        rough = self._fixed + self._arithmetic(depth) * self._correction
        return (self._seconds[depth] + _ROUGH_WEIGHT * rough) / (self._epochs[depth] + _ROUGH_WEIGHT)

    @property
    def _fixed(self) -> float:
        """What an epoch costs at any depth: that of the shallowest one that was measured with no more arithmetic."""
        measured = [depth for depth in self._epochs if not self._arithmetic(depth)]
        if measured:
            return sum(self._seconds[depth] for depth in measured) / sum(self._epochs[depth] for depth in measured)
        return self._least

    @property
    def _correction(self) -> float:
        """How much longer the arithmetic takes than was believed."""
        believed = sum(self._arithmetic(depth) * epochs for depth, epochs in self._epochs.items())
        if not believed:
            return 1.0
        took = sum(
            max(0.0, self._seconds[depth] - self._fixed * epochs)
            for depth, epochs in self._epochs.items()
            if self._arithmetic(depth)
        )
        return took / believed

    @property
    def _least(self) -> float:
        return min(self.rough.values(), default=_EPOCH_SECONDS)

    def _arithmetic(self, depth: int) -> float:
        """Rough seconds of a depth beyond what every depth costs; without figures a unit costs what all do."""
        if not self.rough:
            return depth * _EPOCH_SECONDS
        return self.rough.get(depth, max(self.rough.values())) - self._least


class RungLeft(NamedTuple):
    """What no trial has begun yet of a rung.

    Attributes:
        epochs: That each trial trains there.
        trials: Unfreeze depth to how many there will be; parts of one where it is not decided who is promoted.
    """

    epochs: int
    trials: Mapping[int, float]


def remaining_rungs(
    plan: HyperbandPlan,
    records: Sequence[TrialRecord],
    running: Mapping[int, Assignment],
    *,
    depth_of: Mapping[int, int],
    depths: Sequence[int],
) -> list[list[RungLeft]]:
    """What no trial has begun yet; what is not decided yet is shared among the candidates.

    Args:
        plan: The plan.
        records: Finished trials.
        running: Trials in flight, which are not counted here.
        depth_of: Configuration to its unfreeze depth, as far as they are drawn.
        depths: Unfreeze depths of the space.

    Returns:
        By bracket and rung.
    """
    work: list[list[RungLeft]] = []
    any_depth = {depth: 1 / len(depths) for depth in depths}
    ended_at, flying_at = by_place(records), by_place(running.values())
    for bracket_position, bracket in enumerate(plan.brackets):
        below = any_depth
        work.append([])
        # Who is to come: the bracket's own configurations in their order, later the best, as soon as they are known.
        coming: Sequence[int] = plan.configurations_of(bracket_position)
        for rung_position, rung in enumerate(bracket.rungs):
            place = (bracket_position, rung_position)
            ended = ended_at[place]
            done = [record for record in ended if record.status == "completed"]
            flying = flying_at[place]
            missing = max(0, rung.trials - len(done) - len(flying))
            flown = [assignment.configuration for assignment in flying]
            begun = [depth_of[number] for number in [*(r.configuration for r in done), *flown] if number in depth_of]
            tried = {*(record.configuration for record in ended), *flown}
            left = [number for number in coming if number not in tried][:missing]
            shares = _shares([depth_of[number] for number in left if number in depth_of]) or below
            trials = {depth: missing * share for depth, share in shares.items()} if missing else {}
            work[-1].append(RungLeft(rung.epochs - rung.initial_epoch, trials))
            mixed = {depth: begun.count(depth) + missing * shares.get(depth, 0.0) for depth in {*begun, *shares}}
            total = sum(mixed.values())
            below = {depth: count / total for depth, count in mixed.items()} if total else any_depth
            best = sorted(done, key=lambda record: (-(record.objective or 0.0), record.trial))
            coming = () if missing or flying else [record.configuration for record in best]
    return work


def _shares(depths: Sequence[int]) -> dict[int, float]:
    return {depth: count / len(depths) for depth, count in Counter(depths).items()}
