"""Operating points: thresholds chosen on out-of-fold scores, judged on held-out patients.

A threshold that is chosen and judged on the same cases flatters itself. Here the development patients' out-of-fold
scores give the threshold, and the held-out patients tell what it is worth.

The scores of all folds are pooled, and each fold's are another model's. Beside every threshold stands what each fold
alone would have given, and the specificity that the pooled threshold has on it: where these differ much the threshold
need not fit the exported model, which is one more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.errors import ReportError
from reports.metrics.auc import Floats, ratio
from reports.metrics.intervals import Interval, wilson
from reports.metrics.rates import share_interval
from reports.metrics.resampling import Jackknife
from reports.metrics.table import Endpoint, defined_or_none, endpoints
from reports.predictions import Predictions

SPECIFICITIES = (0.90, 0.95)


@dataclass(frozen=True)
class OperatingThreshold:
    """Where scores are called positive, as chosen on development patients.

    Attributes:
        endpoint: For example "malignant versus rest".
        classes: The positive classes; their calibrated probabilities are added up to the score.
        target_specificity: What it was chosen for; None where a user chose it for something else.
        threshold: Scores of at least this are called positive; None: nothing is.
        fold_thresholds: What each fold's scores alone give for the target; None where nothing reaches it. Empty where
            it is not known.
        fold_specificities: Specificity of ``threshold`` on each fold; None for a fold without a negative.
        asked: A user's own point as it was asked for, for example "sensitivity 0.95"; None for the model's.
    """

    endpoint: str
    classes: tuple[str, ...]
    target_specificity: float | None
    threshold: float | None
    fold_thresholds: tuple[float | None, ...] = ()
    fold_specificities: tuple[float | None, ...] = ()
    asked: str | None = None

    @property
    def title(self) -> str:
        """Endpoint and aim, for example "malignant versus rest at 0.90"."""
        return f"{self.endpoint} at {self.asked or f'{self.target_specificity:.2f}'}"

    def is_positive(self, probabilities: Mapping[str, float]) -> bool:
        """The decision for one image, from its calibrated probabilities by class name."""
        score = sum(probabilities[name] for name in self.classes)
        return self.threshold is not None and score >= self.threshold


@dataclass(frozen=True)
class OperatingPoint:
    """One threshold and what it does on the held-out patients.

    Attributes:
        endpoint: What counts as positive, for example "malignant versus rest".
        target_specificity: Specificity that was asked for.
        threshold: Scores of at least this are called positive; infinity calls nothing positive.
        development_specificity: Specificity on the out-of-fold scores; at least the target.
        development_sensitivity: Sensitivity there, optimistic; None without positives there.
        fold_thresholds: As of `OperatingThreshold`, in the order of the folds.
        fold_specificities: The same.
        sensitivity: On the held-out patients, with the interval of `reports.metrics.rates.share_interval`.
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
    fold_thresholds: tuple[float | None, ...]
    fold_specificities: tuple[float | None, ...]
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


def fold_spread(
    endpoint: Endpoint, folds: NDArray[np.integer] | None, specificity: float, threshold: float
) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """How far the folds agree on a threshold.

    Args:
        endpoint: Truth and out-of-fold scores of the cases.
        folds: Fold of each, int [n]; None for one fold.
        specificity: What the threshold was chosen for.
        threshold: The pooled one.

    Returns:
        ``fold_thresholds`` and ``fold_specificities`` of `OperatingThreshold`.
    """
    thresholds: list[float | None] = []
    specificities: list[float | None] = []
    folds = np.zeros(len(endpoint.scores), np.int64) if folds is None else folds
    for fold in np.unique(folds):
        positive, scores = endpoint.positive[folds == fold], endpoint.scores[folds == fold]
        own = np.inf if positive.all() else threshold_at_specificity(positive, scores, specificity)
        thresholds.append(defined_or_none(own))
        kept = ratio((scores[~positive] < threshold).sum(), (~positive).sum())
        specificities.append(defined_or_none(float(kept)))
    return tuple(thresholds), tuple(specificities)


def operating_points(
    development: Predictions,
    held_out: Predictions,
    *,
    folds: NDArray[np.integer] | None = None,
) -> tuple[OperatingPoint, ...]:
    """Sensitivity at fixed specificities for the primary endpoint and for abnormal versus normal.

    Args:
        development: Out-of-fold probabilities of the development patients, made like those of ``held_out``.
        held_out: Probabilities of the held-out patients.
        folds: Fold of each development case, int [n]; None for one fold.

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
    jackknife = Jackknife.of(held_out.patient_ids, held_out.labels)
    points = []
    for (endpoint, _, positive, scores), inner in zip(endpoints(held_out), endpoints(development), strict=True):
        for target in SPECIFICITIES if not inner.positive.all() else ():
            threshold = threshold_at_specificity(inner.positive, inner.scores, target)
            found = judged(scores >= threshold, positive, held_out.patient_ids, jackknife)
            fold_thresholds, fold_specificities = fold_spread(inner, folds, target, threshold)
            sensitivity = ratio((inner.scores[inner.positive] >= threshold).sum(), inner.positive.sum())
            points.append(
                OperatingPoint(
                    endpoint=endpoint,
                    target_specificity=target,
                    threshold=threshold,
                    development_specificity=float((inner.scores[~inner.positive] < threshold).mean()),
                    development_sensitivity=defined_or_none(float(sensitivity)),
                    fold_thresholds=fold_thresholds,
                    fold_specificities=fold_specificities,
                    **found,
                    wilson_sensitivity=wilson(found["true_positives"], found["positives"]),
                )
            )
    return tuple(points)


def fixed_thresholds(
    development: Predictions, folds: NDArray[np.integer] | None = None
) -> tuple[OperatingThreshold, ...]:
    """The thresholds alone, for a model that goes to other patients.

    Args:
        development: Calibrated out-of-fold probabilities.
        folds: Fold of each case, int [n]; None for one fold.
    """
    found = []
    for endpoint in endpoints(development):
        for target in SPECIFICITIES if not endpoint.positive.all() else ():
            threshold = threshold_at_specificity(endpoint.positive, endpoint.scores, target)
            spread = fold_spread(endpoint, folds, target, threshold)
            found.append(
                OperatingThreshold(endpoint.name, endpoint.classes, target, defined_or_none(threshold), *spread)
            )
    return tuple(found)


def calls(predictions: Predictions, point: OperatingThreshold) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which cases are positive, and which a threshold calls so, each bool [n].

    Args:
        predictions: Calibrated probabilities.
        point: The threshold.
    """
    columns = [predictions.class_names.index(name) for name in point.classes]
    threshold = np.inf if point.threshold is None else point.threshold
    return np.isin(predictions.labels, columns), predictions.probabilities[:, columns].sum(axis=1) >= threshold


def head_of(point: OperatingThreshold) -> dict[str, Any]:
    """What a threshold is for, as metrics.json says it: ``asked`` stands for a user's own alone."""
    asked = {"asked": point.asked} if point.asked else {}
    return {"endpoint": point.endpoint, "target_specificity": point.target_specificity, **asked}


def judged(
    called: NDArray[np.bool_], positive: NDArray[np.bool_], patient_ids: tuple[str, ...], jackknife: Jackknife
) -> dict[str, Any]:
    """What calling some cases positive comes to.

    Args:
        called: Which are called positive, bool [n].
        positive: Which are, bool [n].
        patient_ids: Patient of each case, n.
        jackknife: Of these patients; the threshold stays what it is.

    Returns:
        ``sensitivity`` and ``specificity`` (intervals), and the counts ``true_positives``, ``positives``,
        ``false_positives`` and ``negatives``.
    """
    return {
        "sensitivity": share_interval(called, positive, patient_ids, jackknife),
        "specificity": share_interval(~called, ~positive, patient_ids, jackknife),
        "true_positives": int((called & positive).sum()),
        "positives": int(positive.sum()),
        "false_positives": int((called & ~positive).sum()),
        "negatives": int((~positive).sum()),
    }


def judged_fixed(predictions: Predictions, point: OperatingThreshold, jackknife: Jackknife) -> dict[str, Any]:
    """What a threshold of other patients does on these, as metrics.json holds it.

    Args:
        predictions: Calibrated probabilities.
        point: The threshold.
        jackknife: Of these patients.
    """
    positive, called = calls(predictions, point)
    found = judged(called, positive, predictions.patient_ids, jackknife)
    found["wilson_sensitivity"] = wilson(found["true_positives"], found["positives"])
    return {**head_of(point), "threshold": point.threshold, **plain(found)}


def plain(judgement: Mapping[str, Any]) -> dict[str, Any]:
    """`judged` as `json.dumps` takes it."""
    return {name: asdict(value) if isinstance(value, Interval) else value for name, value in judgement.items()}
