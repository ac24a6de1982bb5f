"""A comparison of models by what each says of held-out patients: differences of a few metrics, with intervals.

Of the same patients the difference is paired: taken on the same resamples, so that what makes a set of patients easy or
hard cancels out. Of different ones each model's patients are drawn by themselves; patients that both have count as
different ones there, which makes the interval too wide rather than too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.metrics.auc import Floats
from reports.metrics.intervals import RESAMPLES, Interval
from reports.metrics.table import mean_over_folds, metric_values
from reports.metrics.table_intervals import in_order_of, interval_of_values, weights_with_whole
from reports.predictions import Predictions

COMPARED = ("primary_auc", "macro_ovr_auc")
"""What baselines, ensembles and outer folds are compared by."""


@dataclass(frozen=True)
class HeldOut:
    """What a model, or one model an outer fold, says of patients that it has not seen.

    Attributes:
        predictions: Of n cases.
        folds: In a nested run the outer fold of each, int [n]: metrics are means over the folds then, and patients are
            drawn within theirs.
    """

    predictions: Predictions
    folds: NDArray[np.integer] | None = None

    def weights(self, *, resamples: int, seed: int) -> Floats:
        """Of the cases as they are, then of each resample, float64 [1 + resamples, n]."""
        ids = self.predictions.patient_ids
        return weights_with_whole(ids, resamples=resamples, seed=seed, folds=self.folds)

    def values(self, names: Sequence[str], weights: Floats) -> dict[str, Floats]:
        """Some metrics under each row of weights, by name; NaN where one is not defined.

        Args:
            names: Of metrics in `reports.metrics.table.metric_values` that stand in no sub-table.
            weights: float64 [rows, n].
        """
        folds = np.zeros(len(self.predictions)) if self.folds is None else self.folds
        parts = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
        values = [metric_values(self.predictions.take(rows), weights[:, rows]) for rows in parts]
        return {name: mean_over_folds(values, (name,)) for name in names}


def differences(
    first: HeldOut,
    second: HeldOut,
    names: Sequence[str] = COMPARED,
    *,
    paired: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """What one model has over another.

    Args:
        first: One model's predictions.
        second: Another's; where they are paired, of the same cases in any order, and in the folds of the first.
        names: The metrics.
        paired: Whether they are of the same patients.
        resamples: Bootstrap resamples of patients.
        seed: Seed of the draws.

    Returns:
        Name to difference first − second, a percentile interval: with 0 inside it the data don't tell the models apart.

    Raises:
        ReportError: If they are paired and not about the same images, patients and labels.
    """
    same = False
    if paired:
        second = HeldOut(in_order_of(first.predictions, second.predictions), first.folds)
        same = np.array_equal(first.predictions.probabilities, second.predictions.probabilities)
    weights = first.weights(resamples=resamples, seed=seed)
    others = weights if paired else second.weights(resamples=resamples, seed=seed + 1)
    found, less = first.values(names, weights), second.values(names, others)
    return {name: interval_of_values(found[name] - less[name], same=same) for name in names}
