"""Dimensions of a search, as plots and importances need them: range, scale, choices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from reports.trials import Hyperparameter, TrialRecord

_LOG_RATIO = 100
"""Observed values that span more than this factor are put on a log scale, where nobody says how they were drawn."""


@dataclass(frozen=True)
class Dimension:
    """One hyperparameter of a search.

    Attributes:
        name: As in `TrialRecord.hyperparameters`.
        low: Smallest possible value; unused for text.
        high: Largest possible value.
        log: Whether it was drawn, and is drawn in plots, on a log scale.
        choices: All possible values in their order, where it is discrete; empty for a range.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Hyperparameter, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether its values have no order of size."""
        return any(isinstance(choice, str) for choice in self.choices)

    @property
    def is_fixed(self) -> bool:
        """Whether there is only one value: nothing to compare."""
        return len(self.choices) == 1 or (not self.choices and self.low == self.high)

    def position(self, value: Hyperparameter) -> float:
        """Where a value lies in the whole range, 0 to 1, on the scale it was drawn on; choices stand evenly."""
        if self.choices:
            return self.choices.index(value) / max(1, len(self.choices) - 1)
        low, high, place = (math.log10(each) if self.log else each for each in (self.low, self.high, float(value)))
        return (place - low) / (high - low)

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Positions to mark on its axis, with their labels: choices, decades of a log scale, ends and middle of others.

        Args:
            most: So many choices or decades at most, 2 or more.
        """
        if self.choices:
            return [(self.position(value), str(value)) for value in _thinned(self.choices, most)]
        middle = (self.low + self.high) / 2
        if not self.log:
            return [(self.position(value), f"{value:.3g}") for value in (self.low, middle, self.high)]
        decades = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
        if len(decades) < 2:
            return [(self.position(value), f"{value:.2g}") for value in (self.low, self.high)]
        return [(self.position(10.0**decade), f"1e{decade}") for decade in _thinned(decades, most)]

    @classmethod
    def of_choices(cls, name: str, choices: Sequence[Hyperparameter]) -> Dimension:
        """A discrete one; whole numbers that double (64, 128, 256) are on a log scale."""
        if any(isinstance(choice, str) for choice in choices):
            return cls(name, choices=tuple(dict.fromkeys(choices)))
        values = tuple(sorted({value for value in choices if not isinstance(value, str)}))
        low, high = float(values[0]), float(values[-1])
        return cls(name, low, high, log=low > 0 and high / low >= 8, choices=values)


def observed_space(records: Sequence[TrialRecord]) -> tuple[Dimension, ...]:
    """The space as the trials themselves show it: whole numbers and text are choices, real numbers ranges."""
    seen: dict[str, list[Hyperparameter]] = {}
    for record in records:
        for name, value in record.hyperparameters.items():
            seen.setdefault(name, []).append(value)
    return tuple(_observed(name, values) for name, values in seen.items())


def covering(dimensions: Sequence[Dimension], records: Sequence[TrialRecord]) -> tuple[Dimension, ...]:
    """The space, widened to what was run: configurations that a user gives need not lie in the drawn ranges.

    Args:
        dimensions: The space that was searched.
        records: The trials.

    Returns:
        One dimension for each hyperparameter of the trials, in the space's order, then in the order of appearance.
    """
    known = {dimension.name: dimension for dimension in dimensions}
    observed = {dimension.name: dimension for dimension in observed_space(records)}
    order = [name for name in known if name in observed] + [name for name in observed if name not in known]
    return tuple(_widened(known.get(name, observed[name]), observed[name]) for name in order)


def _observed(name: str, values: Sequence[Hyperparameter]) -> Dimension:
    if not all(isinstance(value, float) for value in values):
        return Dimension.of_choices(name, values)
    numbers = [float(value) for value in values]
    low, high = min(numbers), max(numbers)
    return Dimension(name, low, high, log=low > 0 and high / low > _LOG_RATIO)


def _widened(dimension: Dimension, observed: Dimension) -> Dimension:
    if dimension.choices or observed.is_text:
        merged = Dimension.of_choices(dimension.name, (*dimension.choices, *observed.choices))
        return merged if merged.is_text else replace(merged, log=dimension.log and merged.low > 0)
    low, high = min(dimension.low, observed.low), max(dimension.high, observed.high)
    return replace(dimension, low=low, high=high, log=dimension.log and low > 0)


def _thinned(values: Sequence[Any], most: int) -> Sequence[Any]:
    """Evenly, as far as that goes, with both ends."""
    count, last = min(most, len(values)), len(values) - 1
    return [values[round(place * last / max(1, count - 1))] for place in range(count)]
