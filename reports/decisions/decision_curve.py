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
from reports.metrics.intervals import LEVEL, RESAMPLES, patient_weights
from reports.predictions import Predictions

THRESHOLDS: Floats = np.linspace(0.01, 0.60, 60)


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit at each threshold probability, per image.

    Attributes:
        thresholds: Threshold probabilities t in (0, 1), float64 [k].
        model: Net benefit of calling p ≥ t positive, float64 [k].
        lower: Pointwise lower limit, patient bootstrap, float64 [k].
        upper: Pointwise upper limit, float64 [k].
        all_positive: Net benefit of calling every image positive, float64 [k].
    """

    thresholds: Floats
    model: Floats
    lower: Floats
    upper: Floats
    all_positive: Floats


def decision_curve(
    predictions: Predictions, positive: NDArray[np.bool_], scores: Floats, *, resamples: int = RESAMPLES, seed: int = 0
) -> DecisionCurve:
    """The curve of one endpoint with a pointwise band.

    Args:
        predictions: The cases, for their patients.
        positive: Truth of the endpoint, bool [n].
        scores: Its probability, calibrated: a threshold means nothing on a score of another scale; float64 [n].
        resamples: Bootstrap resamples of patients.
        seed: Seed of the draw.

    Returns:
        The curve; all zero for a model that calls nothing positive.
    """
    called = scores[:, None] >= THRESHOLDS[None, :]
    odds = THRESHOLDS / (1 - THRESHOLDS)
    gain = called * (positive[:, None] - (~positive)[:, None] * odds)
    weights = patient_weights(predictions.patient_ids, resamples=resamples, seed=seed)
    replicates = ratio(weights @ gain, weights.sum(axis=1, keepdims=True))
    limits = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    share = positive.mean()
    return DecisionCurve(THRESHOLDS, gain.mean(axis=0), limits[0], limits[1], share - (1 - share) * odds)
