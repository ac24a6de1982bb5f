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
        lower: Pointwise lower limit, float64 [k]; the value itself where the patients at hand give none.
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
    gain = called * (positive[:, None] - (~positive)[:, None] * odds)
    share, value = float(positive.mean()), gain.mean(axis=0)
    jackknife = Jackknife.of(predictions.patient_ids, predictions.labels)
    limits = [
        net_benefit(column, positive, predictions.patient_ids, jackknife, odds=at)
        for column, at in zip(called.T, odds, strict=True)
    ]
    lower, upper = (
        np.array([at if limit is None else limit for at, limit in zip(value, side, strict=True)])
        for side in ([each.lower for each in limits], [each.upper for each in limits])
    )
    return DecisionCurve(THRESHOLDS, value, lower, upper, share - (1 - share) * odds)


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
    share = float(positive.mean())
    value = share * float(ratio((called & positive).sum(), positive.sum())) if share else 0.0
    value -= (1 - share) * odds * (float(ratio((called & ~positive).sum(), (~positive).sum())) if share < 1 else 0.0)
    sides = [(side, sign) for side, sign in ((positive, share), (~positive, -(1 - share) * odds)) if side.any()]
    parts = [share_interval(called, side, patient_ids, jackknife) for side, _ in sides]
    weights = jackknife.weights
    together = jackknife.correlation(np.stack([ratio(weights @ (called & side), weights @ side) for side, _ in sides]))
    return Interval.of(value, mover_limits(parts, [sign for _, sign in sides], together), "mover")
