"""A comparison of models by what each says of held-out patients: differences of a few metrics, with intervals.

Of the same patients the difference is paired: each is left out for both, so that what makes a set of patients easy or
hard cancels out. Of different ones the variances add up; patients that both have count as different ones there, which
makes the interval too wide rather than too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reports.metrics.intervals import Interval
from reports.metrics.table_intervals import MetricIntervals, difference, in_order_of
from reports.predictions import Predictions

COMPARED = ("primary_auc", "macro_ovr_auc")
"""What baselines, ensembles and outer folds are compared by."""


@dataclass(frozen=True)
class HeldOut:
    """What a model, or one model an outer fold, says of patients that it has not seen.

    Attributes:
        predictions: Of n cases.
        folds: In a nested run the outer fold of each, int [n]: metrics are means over the folds then.
    """

    predictions: Predictions
    folds: NDArray[np.integer] | None = None

    @cached_property
    def metrics(self) -> MetricIntervals:
        """All metrics, and how well these patients determine them."""
        return MetricIntervals(self.predictions, folds=self.folds)


def differences(
    first: HeldOut, second: HeldOut, names: Sequence[str] = COMPARED, *, paired: bool = True
) -> dict[str, Interval]:
    """What one model has over another.

    Args:
        first: One model's predictions.
        second: Another's; where they are paired, of the same cases in any order, and in the folds of the first.
        names: Of metrics in `reports.metrics.table.metric_values` that stand in no sub-table.
        paired: Whether they are of the same patients.

    Returns:
        Name to difference first − second: with 0 inside its limits the data don't tell the models apart.

    Raises:
        ReportError: If they are paired and not about the same images, patients and labels.
    """
    if paired:
        second = HeldOut(in_order_of(first.predictions, second.predictions), first.folds)
    return {name: difference(first.metrics, second.metrics, (name,), paired=paired) for name in names}
