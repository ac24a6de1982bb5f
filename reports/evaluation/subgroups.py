"""Subgroups: how the model does in slices of the held-out patients, small slices suppressed.

Slices:
    tissue        the primary endpoint (worst class versus rest) within each background tissue
    abnormality   abnormal versus first class: the positives with one kind of finding, against all negatives
    radius        the same with the positives of one tercile of the largest finding's radius
    other breast  abnormal versus first class among the images of affected women only: the negatives are their other
                  breasts, so that no difference between women can help

An AUC of a slice with fewer than ten positives or negatives is a coin toss in print: its n is shown, its value is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.errors import ReportError
from reports.metrics.auc import Floats, WeightedRanking, ratio
from reports.metrics.degenerate import independent_pairs, is_unmoved, unmoved_interval
from reports.metrics.intervals import LEVEL, RESAMPLES, Interval, interval, jackknife_weights, patient_weights
from reports.metrics.table import abnormal_scores, primary_scores
from reports.predictions import Predictions

LEAST_CASES = 10


@dataclass(frozen=True)
class CaseAttributes:
    """What subgroups need to know of an image beyond its prediction.

    Attributes:
        tissue: Background tissue code, "" where unknown.
        abnormalities: Codes of its findings.
        radius: Radius of the largest finding that can be located, in pixels of the original image, or None.
    """

    tissue: str = ""
    abnormalities: tuple[str, ...] = ()
    radius: float | None = None


@dataclass(frozen=True)
class SubgroupResult:
    """The AUC of one slice.

    Attributes:
        group: "tissue", "abnormality", "radius" or "other breast".
        level: Value within the group, for example "D" or "CALC".
        endpoint: What counts as positive.
        images: Number of images.
        patients: Number of different patients.
        positives: Positive images.
        negatives: Negative images.
        auc: With patient-bootstrap limits; all None where suppressed.
        suppressed: Whether there were too few positives or negatives.
    """

    group: str
    level: str
    endpoint: str
    images: int
    patients: int
    positives: int
    negatives: int
    auc: Interval
    suppressed: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self)


def radius_terciles(attributes: Mapping[str, CaseAttributes]) -> tuple[float, float]:
    """The two radii that cut the located findings into three equal parts.

    Args:
        attributes: Of all development images, so that the cuts don't depend on the held-out ones.

    Returns:
        Lower and upper cut in pixels.

    Raises:
        ReportError: If no image has a radius.
    """
    radii = [item.radius for item in attributes.values() if item.radius is not None]
    if not radii:
        raise ReportError(
            expected="at least one located finding", found="no radius", remedy="Leave the radius subgroups out."
        )
    lower, upper = np.quantile(radii, [1 / 3, 2 / 3])
    return float(lower), float(upper)


def subgroup_results(
    predictions: Predictions,
    attributes: Mapping[str, CaseAttributes],
    *,
    radius_cuts: tuple[float, float] | None = None,
    least: int = LEAST_CASES,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
    folds: NDArray[np.integer] | None = None,
) -> tuple[SubgroupResult, ...]:
    """AUCs of all slices of the module's docstring.

    Args:
        predictions: The cases.
        attributes: Image id to attributes; images that it lacks are in no slice.
        radius_cuts: From `radius_terciles`; None leaves the radius out.
        least: Positives and negatives that a slice must have to be shown.
        resamples: Bootstrap resamples of patients.
        seed: Seed of the draw.
        level: Coverage.
        folds: Outer fold of each case, int [n], where each fold has a model of its own: cases are compared within a
            fold only, all pairs of all folds with equal weight, and patients are drawn within folds.

    Returns:
        In the order of the docstring, levels sorted.
    """
    known = [attributes.get(image) for image in predictions.image_ids]
    weights = patient_weights(predictions.patient_ids, resamples=resamples, seed=seed, folds=folds)
    fold_of = np.zeros(len(predictions), dtype=np.int64) if folds is None else np.asarray(folds)
    names = predictions.class_names
    primary, abnormal = f"{names[-1]} versus rest", f"abnormal versus {names[0]}"
    is_worst, worst_scores = primary_scores(predictions)
    is_abnormal, abnormal_score = abnormal_scores(predictions)
    slices: list[tuple[str, str, str, NDArray[np.bool_]]] = []
    for tissue in sorted({item.tissue for item in known if item and item.tissue}):
        rows = np.array([item is not None and item.tissue == tissue for item in known])
        slices.append(("tissue", tissue, primary, rows))
    for code in sorted({code for item in known if item for code in item.abnormalities}):
        has = np.array([item is not None and code in item.abnormalities for item in known])
        slices.append(("abnormality", code, abnormal, ~is_abnormal | has))
    if radius_cuts is not None:
        for title, low, high in _radius_ranges(radius_cuts):
            has = np.array([bool(item and item.radius is not None and low <= item.radius < high) for item in known])
            slices.append(("radius", title, abnormal, ~is_abnormal | (has & is_abnormal)))
    affected = {patient for patient, bad in zip(predictions.patient_ids, is_abnormal, strict=True) if bad}
    women = np.array([patient in affected for patient in predictions.patient_ids])
    if 0 < women.sum() < len(women):
        slices.append(("other breast", "affected women", abnormal, women))
    return tuple(
        _slice_auc(
            predictions,
            (group, title, endpoint),
            rows,
            *((is_worst, worst_scores) if endpoint == primary else (is_abnormal, abnormal_score)),
            fold_of,
            weights,
            least,
            level,
        )
        for group, title, endpoint, rows in slices
    )


def _radius_ranges(cuts: tuple[float, float]) -> tuple[tuple[str, float, float], ...]:
    low, high = cuts
    return (
        (f"under {low:.0f} px", 0.0, low),
        (f"{low:.0f} to {high:.0f} px", low, high),
        (f"{high:.0f} px and more", high, float("inf")),
    )


def _slice_auc(
    predictions: Predictions,
    titles: tuple[str, str, str],
    rows: NDArray[np.bool_],
    positive: NDArray[np.bool_],
    scores: Floats,
    fold_of: NDArray[np.integer],
    weights: Floats,
    least: int,
    level: float,
) -> SubgroupResult:
    positives, negatives = int((rows & positive).sum()), int((rows & ~positive).sum())
    suppressed = min(positives, negatives) < least
    auc = Interval(None, None, None, level)
    patient_ids = tuple(predictions.patient_ids[row] for row in np.flatnonzero(rows))
    if not suppressed:

        def within_folds(cases: Floats) -> Floats:
            parts = [
                WeightedRanking.of(positive[rows][here], scores[rows][here], cases[:, here]).concordance()
                for here in (np.flatnonzero(fold_of[rows] == fold) for fold in np.unique(fold_of[rows]))
            ]
            return ratio(sum(wins for wins, _ in parts), sum(pairs for _, pairs in parts))

        value = float(within_folds(np.ones((1, len(patient_ids))))[0])
        replicates = within_folds(weights[:, rows])
        if is_unmoved(value, replicates):
            auc = unmoved_interval(value, independent_pairs(positive[rows], patient_ids), level=level)
        else:
            # Slices are small, and there the percentile method covers too little.
            jackknife = within_folds(jackknife_weights(patient_ids))
            auc = interval(value, replicates, method="bca", level=level, jackknife=jackknife)
    return SubgroupResult(*titles, int(rows.sum()), len(set(patient_ids)), positives, negatives, auc, suppressed)
