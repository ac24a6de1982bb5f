"""The data of a reliability diagram: what was predicted against what happened, in bins of equal count or width."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reports.metrics.calibration import ECE_BINS
from reports.metrics.intervals import Interval, wilson
from reports.predictions import Predictions


@dataclass(frozen=True)
class ReliabilityBin:
    """Cases of one class whose predicted probability lies in a bin.

    Attributes:
        mean_predicted: Mean predicted probability of the class.
        observed: Share of the cases that are of the class, with Wilson limits (images taken as independent: a guide for
            the eye, not a test).
        cases: Number of images.
    """

    mean_predicted: float
    observed: Interval
    cases: int


def reliability_bins(predictions: Predictions, index: int, *, bins: int = ECE_BINS) -> tuple[ReliabilityBin, ...]:
    """Bins of equal width over [0, 1], as the class-wise calibration error has them; empty ones are left out.

    Args:
        predictions: The cases.
        index: The class.
        bins: Their number.

    Returns:
        From low to high probability.
    """
    column = predictions.probabilities[:, index]
    happened = predictions.labels == index
    member = np.clip((column * bins).astype(np.int64), 0, bins - 1)
    return tuple(
        ReliabilityBin(
            mean_predicted=float(column[member == position].mean()),
            observed=wilson(int(happened[member == position].sum()), int((member == position).sum())),
            cases=int((member == position).sum()),
        )
        for position in np.unique(member)
    )
