"""The out-of-fold operating curve of an endpoint: from it a user's own point is taken, without any patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reports.decisions.operating_points import SPECIFICITIES, threshold_at_specificity
from reports.metrics.table import endpoints
from reports.predictions import Predictions

MOST_POINTS = 256
"""Points of a curve: more cases are told apart no finer than one in 250, which is finer than they are known."""


@dataclass(frozen=True)
class OperatingCurve:
    """What each threshold does on the development patients' out-of-fold scores.

    Attributes:
        endpoint: For example "malignant versus rest".
        classes: The positive classes; their calibrated probabilities are added up to the score.
        thresholds: From low to high, at most `MOST_POINTS`; scores of at least this are called positive.
        sensitivities: Sensitivity of each, falling; optimistic, for the winner was chosen on these cases.
        specificities: Specificity of each, rising.
    """

    endpoint: str
    classes: tuple[str, ...]
    thresholds: tuple[float, ...]
    sensitivities: tuple[float, ...]
    specificities: tuple[float, ...]

    def at_sensitivity(self, sensitivity: float) -> float | None:
        """The highest threshold whose sensitivity is at least this; None where nothing reaches it."""
        reached = zip(self.thresholds, self.sensitivities, strict=True)
        return max((each for each, got in reached if got >= sensitivity - _ROUNDING), default=None)

    def at_specificity(self, specificity: float) -> float | None:
        """The lowest threshold whose specificity is at least this; None where nothing reaches it."""
        reached = zip(self.thresholds, self.specificities, strict=True)
        return min((each for each, got in reached if got >= specificity - _ROUNDING), default=None)


_ROUNDING = 1e-12


def operating_curve(development: Predictions) -> OperatingCurve | None:
    """The curve of the primary endpoint.

    Args:
        development: Calibrated out-of-fold probabilities.

    Returns:
        The curve, with the thresholds of the model's own operating points among its points; None without a positive or
        a negative.
    """
    endpoint = endpoints(development)[0]
    positive, scores = endpoint.positive, endpoint.scores
    if positive.all() or not positive.any():
        return None
    thresholds = np.unique(scores)
    if len(thresholds) > MOST_POINTS:
        own = [threshold_at_specificity(positive, scores, target) for target in SPECIFICITIES]
        even = np.linspace(0, len(thresholds) - 1, MOST_POINTS - len(own)).round().astype(np.int64)
        thresholds = np.unique([*thresholds[even], *(each for each in own if np.isfinite(each))])
    found, kept = np.sort(scores[positive]), np.sort(scores[~positive])
    return OperatingCurve(
        endpoint.name,
        endpoint.classes,
        tuple(thresholds.tolist()),
        tuple((1 - np.searchsorted(found, thresholds, side="left") / len(found)).tolist()),
        tuple((np.searchsorted(kept, thresholds, side="left") / len(kept)).tolist()),
    )
