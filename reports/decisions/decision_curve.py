"""Decision curve: what acting on the model is worth, in true positives, at each exchange rate of benefit and harm.

Net benefit at the threshold probability t is TP / n − FP / n · t / (1 − t) (Vickers & Elkin, Med Decis Making 2006).
The odds of t say how many needless recalls one found case outweighs. A model is of use only where it lies above both
"recall all" and "recall none" (0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.metrics.auc import Floats, ratio
from reports.metrics.intervals import Interval, mover_limits
from reports.metrics.rates import share_interval
from reports.metrics.resampling import Jackknife
from reports.predictions import Predictions

THRESHOLDS: Floats = np.linspace(0.01, 0.60, 60)


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit at each threshold probability, per image.

    Attributes:
        thresholds: Threshold probabilities t in (0, 1), float64 [k].
        model: Net benefit of calling p ≥ t positive, float64 [k].
        lower: Pointwise lower limit, float64 [k]; NaN where the patients at hand give none.
        upper: Pointwise upper limit, float64 [k].
        all_positive: Net benefit of calling every image positive, float64 [k].
    """

    thresholds: Floats
    model: Floats
    lower: Floats
    upper: Floats
    all_positive: Floats


def decision_curve(predictions: Predictions, positive: NDArray[np.bool_], scores: Floats) -> DecisionCurve:
    """The curve of one endpoint with a pointwise band.

    Args:
        predictions: The cases, for their patients and classes.
        positive: Truth of the endpoint, bool [n].
        scores: Its probability, calibrated: a threshold means nothing on a score of another scale; float64 [n].

    Returns:
        The curve; all zero for a model that calls nothing positive.
    """
    called = scores[:, None] >= THRESHOLDS[None, :]
    odds = THRESHOLDS / (1 - THRESHOLDS)
    jackknife = Jackknife.of(predictions.patient_ids, predictions.labels)
    benefits = [
        net_benefit(column, positive, predictions.patient_ids, jackknife, odds=at)
        for column, at in zip(called.T, odds, strict=True)
    ]
    columns = [[each.value, each.lower, each.upper] for each in benefits]
    model, lower, upper = np.array(columns, dtype=np.float64).T  # None becomes NaN
    share = float(positive.mean())
    return DecisionCurve(THRESHOLDS, model, lower, upper, share - (1 - share) * odds)


def net_benefit(
    called: NDArray[np.bool_],
    positive: NDArray[np.bool_],
    patient_ids: tuple[str, ...],
    jackknife: Jackknife,
    *,
    odds: float,
) -> Interval:
    """Net benefit of one threshold: from sensitivity and false positive rate and the limits of each.

    A t interval of the mean gain holds the truth in 72 % of sets of 80 images where an AUC is 0.97, for few images
    carry it.

    Args:
        called: Called positive, bool [n].
        positive: bool [n].
        patient_ids: Patient of each case, n.
        jackknife: Of these patients.
        odds: t / (1 − t) of the threshold probability.
    """
    share, weights = float(positive.mean()), jackknife.weights
    sides = [(side, factor) for side, factor in ((positive, share), (~positive, -(1 - share) * odds)) if side.any()]
    parts = [share_interval(called, side, patient_ids, jackknife) for side, _ in sides]
    factors = [factor for _, factor in sides]
    together = jackknife.correlation(np.stack([ratio(weights @ (called & side), weights @ side) for side, _ in sides]))
    value = sum(factor * (part.value or 0.0) for factor, part in zip(factors, parts, strict=True))
    return Interval.of(value, mover_limits(parts, factors, together), "mover")
