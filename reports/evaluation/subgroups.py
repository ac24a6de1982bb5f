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
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.errors import ReportError
from reports.metrics.auc import Floats, WeightedRanking, ratio
from reports.metrics.independent import independent_pairs
from reports.metrics.intervals import Interval
from reports.metrics.rates import area_of_values
from reports.metrics.resampling import Jackknife
from reports.metrics.table import Endpoint, endpoints
from reports.predictions import Predictions

LEAST_CASES = 10

ABNORMALITIES = {
    "CALC": "calcification",
    "CIRC": "circumscribed mass",
    "SPIC": "spiculated mass",
    "ARCH": "architectural distortion",
    "ASYM": "asymmetry",
    "MISC": "other, ill-defined mass",
}
TISSUES = {"F": "fatty", "G": "fatty-glandular", "D": "dense-glandular"}
"""The codes of MIAS (``Info.txt`` of the database) in words."""


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
        auc: With limits; all None where suppressed.
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
    folds: NDArray[np.integer] | None = None,
) -> tuple[SubgroupResult, ...]:
    """AUCs of all slices of the module's docstring.

    Args:
        predictions: The cases.
        attributes: Image id to attributes; images that it lacks are in no slice.
        radius_cuts: From `radius_terciles`; None leaves the radius out.
        folds: Outer fold of each case, int [n], where each fold has a model of its own: cases are compared within a
            fold only, all pairs of all folds with equal weight.

    Returns:
        In the order of the docstring, levels sorted.
    """
    known = [attributes.get(image) for image in predictions.image_ids]
    fold_of = np.zeros(len(predictions), dtype=np.int64) if folds is None else np.asarray(folds)
    primary, abnormal = endpoints(predictions)
    is_abnormal = abnormal.positive
    slices: list[tuple[str, str, Endpoint, NDArray[np.bool_]]] = []
    for tissue in sorted({item.tissue for item in known if item and item.tissue}):
        rows = np.array([item is not None and item.tissue == tissue for item in known])
        slices.append(("tissue", tissue, primary, rows))
    for code in sorted({code for item in known if item for code in item.abnormalities}):
        has = np.array([item is not None and code in item.abnormalities for item in known])
        slices.append(("abnormality", code, abnormal, ~is_abnormal | has))
    if radius_cuts is not None:
        low, high = radius_cuts
        radii = np.array([np.nan if item is None or item.radius is None else item.radius for item in known])
        for title, inside in (
            (f"under {low:.0f} px", (radii >= 0) & (radii < low)),
            (f"{low:.0f} to {high:.0f} px", (radii >= low) & (radii < high)),
            (f"{high:.0f} px and more", radii >= high),
        ):
            slices.append(("radius", title, abnormal, ~is_abnormal | (inside & is_abnormal)))
    affected = {patient for patient, bad in zip(predictions.patient_ids, is_abnormal, strict=True) if bad}
    women = np.array([patient in affected for patient in predictions.patient_ids])
    if 0 < women.sum() < len(women):
        slices.append(("other breast", "affected women", abnormal, women))
    found = []
    for group, title, endpoint, rows in slices:
        positive, patient_ids = endpoint.positive[rows], tuple(np.array(predictions.patient_ids)[rows].tolist())
        positives, negatives = int(positive.sum()), int((~positive).sum())
        suppressed = min(positives, negatives) < LEAST_CASES
        auc = Interval(None)
        if not suppressed:
            auc = _auc_within_folds(positive, endpoint.scores[rows], patient_ids, fold_of[rows])
        women_of = len(set(patient_ids))
        found.append(
            SubgroupResult(group, title, endpoint.name, len(positive), women_of, positives, negatives, auc, suppressed)
        )
    return tuple(found)


def _auc_within_folds(
    positive: NDArray[np.bool_],
    scores: Floats,
    patient_ids: tuple[str, ...],
    fold_of: NDArray[np.integer],
) -> Interval:
    def within_folds(cases: Floats) -> Floats:
        parts = [
            WeightedRanking.of(positive[here], scores[here], cases[:, here]).concordance()
            for here in (np.flatnonzero(fold_of == fold) for fold in np.unique(fold_of))
        ]
        return ratio(sum(wins for wins, _ in parts), sum(pairs for _, pairs in parts))

    # Within a slice the numbers of patients are a chance: no split has dealt them out.
    jackknife = Jackknife.of(patient_ids, positive.astype(np.int64), folds=fold_of, fixed=False)
    return area_of_values(within_folds(jackknife.weights), independent_pairs(positive, patient_ids), jackknife)


def abnormality(code: str) -> str:
    """A kind of finding in words; what is no code of MIAS stays as it is."""
    return ABNORMALITIES.get(code, code)


def tissue(code: str) -> str:
    """A background tissue in words with its code, for other data sets use the same letters in another sense."""
    return f"{TISSUES[code]} ({code})" if code in TISSUES else code


def slice_title(group: str, level: str) -> str:
    """A subgroup's name, for example "tissue: fatty (F)".

    Args:
        group: "tissue", "abnormality", "radius" or "other breast".
        level: Value within the group.
    """
    words = {"tissue": tissue, "abnormality": abnormality}.get(group, str)(level)
    return "both breasts of affected women" if group == "other breast" else f"{group}: {words}"
