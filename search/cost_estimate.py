"""How long a search will take: what an epoch of each unfreeze depth costs, times what the plan still holds.

Before the first run has ended the costs are rough, from the arithmetic of each depth; after that they are measured.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from reports.trial_record import TrialRecord
from search.bit_architecture import BitArchitecture, Unit
from search.hyperband_plan import HyperbandPlan
from search.plan_execution import Assignment

# Multiplications and additions a second of one CPU core, and of a GPU, in convolutions of this kind: half of what
# was measured on two cores (75e9 each, float32), for an estimate had better be too long.
_CPU_CORE_RATE = 40e9
_GPU_RATE = 4e12
# Validation, shuffling and bookkeeping of one epoch of one fold.
_EPOCH_SECONDS = 0.03
# A measurement of so many epochs weighs as much as the rough figure.
_ROUGH_WEIGHT = 2.0


def device_rate(*, gpus: int, cores: int) -> float:
    """Rough arithmetic rate of a device in operations a second."""
    return _GPU_RATE if gpus else _CPU_CORE_RATE * cores


def trunk_operations(architecture: BitArchitecture, image_size: int) -> float:
    """Multiplications and additions of one forward pass of one image through the whole backbone."""
    root = 2 * 7 * 7 * 3 * architecture.width * (image_size / 2) ** 2
    return root + _unit_operations(architecture, architecture.n_units, image_size)


def rough_costs(
    architecture: BitArchitecture,
    depths: Sequence[int],
    *,
    image_size: int,
    training_images: int,
    validation_images: int,
    rate: float,
) -> dict[int, float]:
    """Seconds of one epoch of one fold, by unfreeze depth, from the arithmetic alone.

    Args:
        architecture: The backbone's.
        depths: Unfreeze depths.
        image_size: Side of the prepared images in pixels.
        training_images: Images drawn in an epoch.
        validation_images: Images of the validation fold.
        rate: Operations a second.
    """
    # Training is one forward pass and two of that size backwards.
    images = 3 * training_images + validation_images
    costs = {}
    for depth in depths:
        units = min(depth, architecture.n_units)
        forward = (
            trunk_operations(architecture, image_size)
            if depth > architecture.n_units
            else _unit_operations(architecture, units, image_size)
        )
        costs[depth] = _EPOCH_SECONDS + images * forward / rate
    return costs


@dataclass
class CostModel:
    """Seconds of one epoch of one fold, by unfreeze depth; it learns from every finished run.

    Attributes:
        rough: What is believed before anything was measured.
    """

    rough: Mapping[int, float] = field(default_factory=dict)
    _seconds: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    _epochs: Counter[int] = field(default_factory=Counter)

    @property
    def is_known(self) -> bool:
        """Whether there is anything to estimate from."""
        return bool(self.rough or self._epochs)

    @property
    def is_measured(self) -> bool:
        """Whether a run has ended."""
        return bool(self._epochs)

    def learn(self, depth: int, fold_epochs: int, seconds: float) -> None:
        """A run of this depth took so long for so many epochs, folds counted."""
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


def remaining_work(
    plan: HyperbandPlan,
    records: Sequence[TrialRecord],
    running: Mapping[int, Assignment],
    *,
    depth_of: Mapping[int, int],
    depths: Sequence[int],
) -> dict[int, float]:
    """Epochs that no run has begun yet, by unfreeze depth; what is not decided yet is shared among the candidates.

    Args:
        plan: The plan.
        records: Finished runs.
        running: Runs in flight, whose epochs are not counted here.
        depth_of: Configuration to its unfreeze depth, as far as they are drawn.
        depths: Unfreeze depths of the space.

    Returns:
        Unfreeze depth to epochs of a run, folds not counted.
    """
    work: defaultdict[int, float] = defaultdict(float)
    any_depth = {depth: 1 / len(depths) for depth in depths}
    fresh = sum(record.rung == 0 for record in records) + sum(run.rung == 0 for run in running.values())
    for bracket_position, bracket in enumerate(plan.brackets):
        below: dict[int, float] = {}
        promoted: list[int] | None = None
        for rung_position, rung in enumerate(bracket.rungs):
            place = (bracket_position, rung_position)
            done = [r for r in records if (r.bracket, r.rung) == place and r.status == "completed"]
            flying = [run for run in running.values() if (run.bracket, run.rung) == place]
            missing = max(0, rung.runs - len(done) - len(flying))
            tried = {*(record.configuration for record in done), *(run.configuration for run in flying)}
            begun = [depth_of[number] for number in tried if number in depth_of]
            if rung_position == 0:
                to_come = [depth_of[number] for number in range(fresh, fresh + missing) if number in depth_of]
                fresh += missing
                shares = _shares(to_come) or any_depth
            elif promoted is not None:
                left = [depth_of[number] for number in promoted if number not in tried and number in depth_of]
                shares = _shares(left) or below
            else:
                shares = below
            for depth, share in shares.items():
                work[depth] += missing * share * (rung.epochs - rung.initial_epoch)
            mixed = {
                depth: begun.count(depth) + missing * shares.get(depth, 0.0) for depth in {*begun, *shares}
            }
            total = sum(mixed.values())
            below = {depth: count / total for depth, count in mixed.items()} if total else any_depth
            promoted = None
            if not missing and not flying and rung_position + 1 < len(bracket.rungs):
                best = sorted(done, key=lambda record: (-(record.objective or 0.0), record.run))
                promoted = [record.configuration for record in best[: bracket.rungs[rung_position + 1].runs]]
    return dict(work)


def _shares(depths: Sequence[int]) -> dict[int, float]:
    return {depth: count / len(depths) for depth, count in Counter(depths).items()}


def _unit_operations(architecture: BitArchitecture, units: int, image_size: int) -> float:
    """Of the last so many residual units, one image forward."""
    total = 0.0
    for position, unit in enumerate(architecture.unit_sequence[architecture.n_units - units :]):
        rows, columns, _ = architecture.boundary_shape(units - position, (image_size, image_size))
        total += _operations(unit, rows * columns)
    return total


def _operations(unit: Unit, pixels: int) -> float:
    after = pixels / unit.stride**2
    total = 0.0
    for name, shape in unit.variable_shapes.items():
        if name.endswith("kernel"):
            first = name.endswith("a/standardized_conv2d/kernel")
            total += 2 * prod(shape) * (pixels if first else after)
    return total
