"""A search's dimensions as optuna's distributions: as they were searched, to be plotted, and to be weighed."""

from __future__ import annotations

import math
from typing import Any

from reports.search_plots.space import Dimension


def exported_distribution(dimension: Dimension) -> Any:
    """As it was searched: choices as categories."""
    import optuna

    if dimension.choices:
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def plotted_distribution(dimension: Dimension) -> Any:
    """Whole numbers as numbers: optuna's plots would put categories on a linear axis, or sort them as text."""
    import optuna

    if dimension.choices and all(isinstance(choice, int) for choice in dimension.choices):
        return optuna.distributions.IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return exported_distribution(dimension)


def ordinal_distribution(dimension: Dimension) -> Any:
    """On the scale it was drawn on, for importances: log10 of a log-scaled one, the position of a choice."""
    import optuna

    if dimension.is_text:
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    if dimension.choices:
        return optuna.distributions.IntDistribution(0, len(dimension.choices) - 1)
    low, high = (math.log10(x) if dimension.log else x for x in (dimension.low, dimension.high))
    return optuna.distributions.FloatDistribution(low, high)


def ordinal_value(dimension: Dimension, value: Any) -> Any:
    """A value on the scale of `ordinal_distribution`."""
    if dimension.is_text:
        return value
    if dimension.choices:
        return dimension.choices.index(value)
    low, high = (math.log10(x) if dimension.log else x for x in (dimension.low, dimension.high))
    # A bound's logarithm may lie a rounding error inside the value's.
    return min(max(math.log10(value) if dimension.log else value, low), high)
