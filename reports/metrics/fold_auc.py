"""The search's objective under many case weights, for many candidates: the inner loop of a bootstrap over a search.

An AUC is a share of weighted pairs: a positive case above a negative one is a win, ties are half of one. What a
positive case wins is the weight of the negatives below it, a cumulative sum in the candidate's order; no table of pairs
is made, so the cost grows with the cases and not with their square. Multiplicities as weights are summed exactly:
candidates that rank alike score alike, to the bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reports.metrics.auc import Floats


def fold_averaged_macro_auc(
    labels: NDArray[np.integer], probabilities: Floats, folds: NDArray[np.integer], weights: Floats
) -> Floats:
    """Macro one-vs-rest AUC within each fold, averaged over the folds that define it class by class.

    Args:
        labels: Class index, int [n].
        probabilities: Of each candidate, finite, float64 [candidates, n, classes].
        folds: The fold that each case was validated in, int [n].
        weights: Non-negative case weights, float64 [resamples, n].

    Returns:
        float64 [candidates, resamples]; NaN, for all candidates alike, where a class is defined in no fold.
    """
    candidates, _, classes = probabilities.shape
    total = np.zeros((candidates, len(weights)))
    for index in range(classes):
        summed, count = np.zeros_like(total), np.zeros(len(weights))
        for fold in np.unique(folds):
            positive = np.flatnonzero((folds == fold) & (labels == index))
            negative = np.flatnonzero((folds == fold) & (labels != index))
            pairs = weights[:, positive].sum(axis=1) * weights[:, negative].sum(axis=1)
            defined = pairs > 0
            if not defined.any():
                continue
            scores = probabilities[:, :, index]
            wins = _wins(scores[:, positive], scores[:, negative], weights[:, positive], weights[:, negative])
            wins /= np.where(defined, pairs, 1)
            summed += wins
            count += defined
        total += np.where(count > 0, summed / np.maximum(count, 1), np.nan)
    return total / classes


def _wins(positive: Floats, negative: Floats, positive_weights: Floats, negative_weights: Floats) -> Floats:
    """Weight of the pairs that each candidate ranks rightly, ties one half, float64 [candidates, resamples]."""
    above = np.ascontiguousarray(positive_weights.T)
    below = np.ascontiguousarray(negative_weights.T)
    # Row k: the weight of the k lowest negatives.
    lowest = np.zeros((len(below) + 1, below.shape[1]))
    wins = np.empty((len(positive), below.shape[1]))
    for candidate, (scores, others) in enumerate(zip(positive, negative, strict=True)):
        order = np.argsort(others, kind="stable")
        np.cumsum(below[order], axis=0, out=lowest[1:])
        places = [np.searchsorted(others[order], scores, side) for side in ("left", "right")]
        wins[candidate] = sum(np.einsum("pr,pr->r", above, lowest[place]) for place in places)
    return wins / 2
