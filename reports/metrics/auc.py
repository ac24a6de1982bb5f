"""Metrics of a ranking: AUC, partial AUC, average precision, sensitivity at a specificity.

Every function takes case weights [resamples, n] and gives one value a resample, so that a bootstrap is one call: a
resample of patients is nothing but a row of multiplicities. A row of ones gives the plain metric. Where a metric is not
defined (no weight on one of the two sides), the value is NaN, never 0.5.

The search's objective is also needed for many candidates at once, in the inner loop of a bootstrap over a search:
`fold_averaged_macro_auc`. What a positive case wins is the weight of the negatives below it, a cumulative sum in the
candidate's order; no table of pairs is made, so the cost grows with the cases and not with their square. Multiplicities
as weights are summed exactly: candidates that rank alike score alike, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Numerator / denominator, NaN wherever the denominator is 0 (and no warning)."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    out = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=out, where=bottom != 0)
    return out


def mean_of_defined(values: Sequence[Floats]) -> Floats:
    """Mean over the arrays that are finite at a place, and NaN where none is; each float64 [resamples]."""
    stacked = np.stack(values)
    defined = np.isfinite(stacked)
    return ratio(np.where(defined, stacked, 0).sum(axis=0), defined.sum(axis=0))


def binary_auc(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Area under the ROC curve of one scorer, ties counted one half; fast, for use inside a training loop.

    Args:
        positive: Whether each case is positive, bool [n].
        scores: The higher, the more positive, float [n].

    Returns:
        The Mann-Whitney statistic U / (positives · negatives), from mid-ranks; NaN without both kinds of case or where
        a score is not finite (a diverged model has no ranking).
    """
    positives = int(np.count_nonzero(positive))
    negatives = len(scores) - positives
    if positives == 0 or negatives == 0 or not np.isfinite(scores).all():
        return float("nan")
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    edges = np.flatnonzero(np.concatenate(([True], ranked[1:] != ranked[:-1], [True])))
    # Twice the mid-rank of each tied group: integers, so that the sum is exact.
    doubled = np.repeat(edges[1:] + edges[:-1] + 1, np.diff(edges))
    total = int(doubled[positive[order]].sum())
    return (total - positives * (positives + 1)) / (2 * positives * negatives)


def auc_standard_error(auc: float, positives: ArrayLike, negatives: ArrayLike) -> Floats:
    """Standard error of an AUC from independent cases (Hanley & McNeil, Radiology 1982).

    Args:
        auc: The true area, 0 to 1.
        positives: Number of positive cases, 1 or more, of any shape.
        negatives: Number of negative ones, of that shape.

    Returns:
        float64 of that shape; 0 for an area of 0 or 1.
    """
    positive, negative = np.asarray(positives, np.float64), np.asarray(negatives, np.float64)
    two_positives, two_negatives = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    alone = auc * (1 - auc)
    together = (positive - 1) * (two_positives - auc**2) + (negative - 1) * (two_negatives - auc**2)
    return np.sqrt(np.maximum((alone + together) / (positive * negative), 0))


@dataclass(frozen=True)
class WeightedRanking:
    """One scorer's ranking under many case weightings, highest score first, ties as one group.

    Attributes:
        positives: Weight of the positives in each group of equal scores, float64 [resamples, groups].
        negatives: The same of the negatives.
        thresholds: The score of each group, descending, float64 [groups].
    """

    positives: Floats
    negatives: Floats
    thresholds: Floats

    @classmethod
    def of(cls, positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> WeightedRanking:
        """Groups the cases of each resample by score.

        Args:
            positive: bool [n].
            scores: Finite, float64 [n].
            weights: Non-negative case weights, float64 [resamples, n].
        """
        order = np.argsort(-scores, kind="stable")
        ranked, side = scores[order], positive[order]
        starts = np.flatnonzero(np.concatenate(([True], ranked[1:] != ranked[:-1])))
        arranged = weights[:, order]
        positives, negatives = arranged * side, arranged * ~side
        if len(starts) < len(ranked):
            positives = np.add.reduceat(positives, starts, axis=1)
            negatives = np.add.reduceat(negatives, starts, axis=1)
        return cls(positives, negatives, ranked[starts])

    @property
    def defined(self) -> NDArray[np.bool_]:
        """Whether both sides have weight, bool [resamples]."""
        return (self.positives.sum(axis=1) > 0) & (self.negatives.sum(axis=1) > 0)

    def auc(self) -> Floats:
        """Area under the ROC curve, float64 [resamples]."""
        return ratio(*self.concordance())

    def concordance(self) -> tuple[Floats, Floats]:
        """Weight of the pairs in which the positive scores higher (ties one half), and of all pairs, [resamples]."""
        below = self.negatives.sum(axis=1, keepdims=True) - np.cumsum(self.negatives, axis=1)
        wins = (self.positives * (below + 0.5 * self.negatives)).sum(axis=1)
        return wins, self.positives.sum(axis=1) * self.negatives.sum(axis=1)

    def average_precision(self) -> Floats:
        """Σ (Rᵢ − Rᵢ₋₁) Pᵢ over descending thresholds, without interpolation, float64 [resamples].

        Defined as soon as there is a positive, as scikit-learn has it; but a table of positives alone says nothing
        about a ranking, so NaN there too.
        """
        true = np.cumsum(self.positives, axis=1)
        called = true + np.cumsum(self.negatives, axis=1)
        precision = np.nan_to_num(ratio(true, called))
        value = ratio((self.positives * precision).sum(axis=1), true[:, -1])
        value[~self.defined] = np.nan
        return value

    def curve(self) -> tuple[Floats, Floats]:
        """False and true positive rates from (0, 0) to (1, 1), each float64 [resamples, groups + 1]."""
        return tuple(  # type: ignore[return-value]
            np.pad(ratio(np.cumsum(side, axis=1), side.sum(axis=1, keepdims=True)), ((0, 0), (1, 0)))
            for side in (self.negatives, self.positives)
        )

    def partial_auc(self, max_false_positive_rate: float) -> Floats:
        """Area under the curve left of a false positive rate, McClish-standardised so that chance is 0.5.

        Args:
            max_false_positive_rate: Above 0, at most 1; 0.1 is the part with at least 90 % specificity.

        Returns:
            float64 [resamples], 1 for a perfect ranking (McClish, Med Decis Making 1989).
        """
        limit = max_false_positive_rate
        false, true = self.curve()
        left, right = np.minimum(false[:, :-1], limit), np.minimum(false[:, 1:], limit)
        slope = np.nan_to_num(ratio(np.diff(true, axis=1), np.diff(false, axis=1)))
        # Height where the segment is cut; a vertical segment has no area, so its slope of 0 does no harm.
        height = true[:, :-1] + slope * (right - false[:, :-1])
        area = ((right - left) * (true[:, :-1] + height) / 2).sum(axis=1)
        chance = limit**2 / 2
        value = 0.5 * (1 + (area - chance) / (limit - chance))
        value[~self.defined] = np.nan
        return value

    def sensitivity_at_specificity(self, specificity: float) -> Floats:
        """Largest sensitivity of a threshold that keeps a specificity, float64 [resamples].

        The threshold is chosen on these very cases, so the value is optimistic; `reports.decisions.operating_points`
        carries a threshold from other cases over to these.
        """
        false, true = self.curve()
        # Rates are quotients of small integers: 1 − 0.9 must not exclude exactly one in ten.
        allowed = false <= 1 - specificity + 1e-12
        value = np.where(allowed, np.nan_to_num(true), 0.0).max(axis=1)
        value[~self.defined] = np.nan
        return value


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
