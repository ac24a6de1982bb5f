"""Intervals of one figure of the cases: a share, an area under the curve, a mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reports.metrics.auc import Floats, WeightedRanking, ratio
from reports.metrics.independent import independent_pairs
from reports.metrics.intervals import Interval, share_limits, student_limits
from reports.metrics.resampling import Jackknife


def share_interval(
    hit: NDArray[np.bool_], among: NDArray[np.bool_], patient_ids: tuple[str, ...], jackknife: Jackknife
) -> Interval:
    """A share of cases.

    Args:
        hit: bool [n].
        among: Which cases count, bool [n].
        patient_ids: Patient of each case, n.
        jackknife: Of these patients.

    Returns:
        The share; all None where no case counts.
    """
    found = jackknife.estimate(ratio(jackknife.weights @ (hit & among), jackknife.weights @ among))
    patients = len({patient_ids[row] for row in np.flatnonzero(among)})
    return Interval.of(found.value, *share_limits(found, patients, "counts"))


def area_interval(
    positive: NDArray[np.bool_], scores: Floats, patient_ids: tuple[str, ...], jackknife: Jackknife
) -> Interval:
    """An area under the ROC curve.

    Args:
        positive: bool [n].
        scores: The higher, the more positive, float64 [n].
        patient_ids: Patient of each case, n.
        jackknife: Of these patients.
    """
    areas = WeightedRanking.of(positive, scores, jackknife.weights).auc()
    return area_of_values(areas, independent_pairs(positive, patient_ids), jackknife)


def area_of_values(areas: Floats, pairs: int, jackknife: Jackknife) -> Interval:
    """An area that is known under each row of weights.

    Args:
        areas: float64 [1 + groups].
        pairs: Independent draws, for an area of 0 or 1.
        jackknife: What the rows are of.
    """
    found = jackknife.estimate(areas)
    return Interval.of(found.value, *share_limits(found, pairs, "logit"))


def mean_interval(values: Floats, jackknife: Jackknife) -> Interval:
    """A mean over the cases.

    Args:
        values: float64 [n].
        jackknife: Of their patients.
    """
    found = jackknife.estimate(ratio(jackknife.weights @ values, jackknife.weights.sum(axis=1)))
    # Where no patient moves it, it is the same for each.
    limits = (found.value, found.value) if found.variance == 0 else student_limits(found)
    return Interval.of(found.value, limits, "student")
