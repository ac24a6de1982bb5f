"""Operating points: thresholds chosen on out-of-fold scores, judged on held-out patients.

A threshold that is chosen and judged on the same cases flatters itself. Here the development patients' out-of-fold
scores give the threshold, and the held-out patients tell what it is worth.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.errors import ReportError
from reports.metrics.auc import Floats, ratio
from reports.metrics.intervals import LEVEL, RESAMPLES, Interval, patient_weights, share, wilson
from reports.metrics.table import abnormal_scores, defined_or_none, primary_scores
from reports.predictions import Predictions

SPECIFICITIES = (0.90, 0.95)


@dataclass(frozen=True)
class OperatingPoint:
    """One threshold and what it does on the held-out patients.

    Attributes:
        endpoint: What counts as positive, for example "malignant versus rest".
        target_specificity: Specificity that was asked for.
        threshold: Scores of at least this are called positive; infinity calls nothing positive.
        development_specificity: Specificity on the out-of-fold scores; at least the target.
        development_sensitivity: Sensitivity there, optimistic; None without positives there.
        sensitivity: On the held-out patients, with the interval of `reports.metrics.intervals.share`.
        specificity: The same.
        true_positives: Held-out images called positive rightly.
        positives: Held-out positive images.
        false_positives: Held-out images called positive wrongly.
        negatives: Held-out negative images.
        wilson_sensitivity: Wilson limits from the counts alone; right where positives are of different patients.
    """

    endpoint: str
    target_specificity: float
    threshold: float
    development_specificity: float
    development_sensitivity: float | None
    sensitivity: Interval
    specificity: Interval
    true_positives: int
    positives: int
    false_positives: int
    negatives: int
    wilson_sensitivity: Interval

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file; a threshold that nothing reaches is None."""
        return asdict(self) | {"threshold": self.threshold if np.isfinite(self.threshold) else None}


def threshold_at_specificity(positive: NDArray[np.bool_], scores: Floats, specificity: float) -> float:
    """The lowest score from which on calling positive keeps the specificity.

    Args:
        positive: bool [n], with at least one negative.
        scores: float64 [n].
        specificity: 0 to 1.

    Returns:
        One of the scores; infinity where even the highest one calls too many negatives.

    Raises:
        ReportError: If there is no negative case, for then a specificity does not exist.
    """
    negatives = np.sort(scores[~positive])
    if not len(negatives):
        raise ReportError(
            expected="at least one negative case to choose a threshold on",
            found="positive cases only",
            remedy="Leave this operating point out.",
        )
    candidates = np.unique(scores)
    kept = np.searchsorted(negatives, candidates, side="left") / len(negatives)
    good = candidates[kept >= specificity - 1e-12]
    return float(good[0]) if len(good) else float("inf")


def operating_points(
    development: Predictions,
    held_out: Predictions,
    *,
    specificities: tuple[float, ...] = SPECIFICITIES,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[OperatingPoint, ...]:
    """Sensitivity at fixed specificities for the primary endpoint and for abnormal versus normal.

    Args:
        development: Out-of-fold probabilities of the development patients, made like those of ``held_out``.
        held_out: Probabilities of the held-out patients.
        specificities: Targets.
        resamples: Bootstrap resamples of held-out patients; the threshold stays what it is.
        seed: Seed of the draw.
        level: Coverage.

    Returns:
        One point an endpoint and target; endpoints without development negatives are left out.

    Raises:
        ReportError: If a patient is in both tables.
    """
    both = set(development.patient_ids) & set(held_out.patient_ids)
    if both:
        raise ReportError(
            expected="different patients in development and held-out predictions",
            found=f"{len(both)} in both, for example {min(both)}",
            remedy="Choose thresholds on out-of-fold predictions of the development patients.",
        )
    weights = patient_weights(held_out.patient_ids, resamples=resamples, seed=seed)
    names = held_out.class_names
    points = []
    for endpoint, scores_of in (
        (f"{names[-1]} versus rest", primary_scores),
        (f"abnormal versus {names[0]}", abnormal_scores),
    ):
        (positive, scores), (inner_positive, inner_scores) = scores_of(held_out), scores_of(development)
        if inner_positive.all():
            continue
        for target in specificities:
            threshold = threshold_at_specificity(inner_positive, inner_scores, target)
            called, inner_called = scores >= threshold, inner_scores >= threshold
            points.append(
                OperatingPoint(
                    endpoint=endpoint,
                    target_specificity=target,
                    threshold=threshold,
                    development_specificity=float((~inner_called[~inner_positive]).mean()),
                    development_sensitivity=defined_or_none(
                        float(ratio(inner_called[inner_positive].sum(), inner_positive.sum()))
                    ),
                    sensitivity=share(called, positive, held_out.patient_ids, weights, level=level),
                    specificity=share(~called, ~positive, held_out.patient_ids, weights, level=level),
                    true_positives=int((called & positive).sum()),
                    positives=int(positive.sum()),
                    false_positives=int((called & ~positive).sum()),
                    negatives=int((~positive).sum()),
                    wilson_sensitivity=wilson(int((called & positive).sum()), int(positive.sum()), level=level),
                )
            )
    return tuple(points)
