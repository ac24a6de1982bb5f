"""Figures a woman beside figures an image: the worst of her breasts decides.

A woman is called if any of her images is, and ill if any is. Her score is the highest of her images'. At one threshold
she is called more often than a breast, so the specificity a woman is below that a breast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.decisions.operating_points import judged, plain
from reports.metrics.auc import WeightedRanking, mean_of_defined
from reports.metrics.independent import independent_pairs
from reports.metrics.rates import area_of_values
from reports.metrics.resampling import Jackknife
from reports.metrics.table import endpoints
from reports.predictions import Predictions

Judged = tuple[Mapping[str, Any], NDArray[np.bool_], NDArray[np.bool_]]
"""What a threshold is (endpoint, target_specificity …), which images are positive, and which are called so."""


def by_patient_section(
    exported: Predictions,
    points: Sequence[Judged],
    *,
    folds: NDArray[np.integer] | None = None,
    fixed: bool = True,
) -> dict[str, Any]:
    """``by_patient`` of metrics.json.

    Args:
        exported: The model's own probabilities.
        points: The thresholds on the same images.
        folds: In a nested run the outer fold of each image, int [n]: an area is the mean over the folds that have one.
        fixed: As in `reports.metrics.resampling.Jackknife`.

    Returns:
        ``n`` (patients), ``areas`` (list of endpoint, positives, negatives and auc) and ``operating_points`` (list of
        what each is, sensitivity, specificity and the four counts).
    """
    patients, first, of = np.unique(np.array(exported.patient_ids), return_index=True, return_inverse=True)
    ids = tuple(patients.tolist())
    fold_of = np.zeros(len(ids), np.int64) if folds is None else np.asarray(folds)[first]
    jackknife = Jackknife.of(ids, worst(exported.labels, of), folds=fold_of, fixed=fixed)
    areas = []
    for endpoint in endpoints(exported):
        positive, scores = worst(endpoint.positive, of), worst(endpoint.scores, of)
        counts = {"positives": int(positive.sum()), "negatives": int((~positive).sum())}
        values = [
            WeightedRanking.of(positive[here], scores[here], jackknife.weights[:, here]).auc()
            for here in (np.flatnonzero(fold_of == fold) for fold in np.unique(fold_of))
        ]
        area = area_of_values(mean_of_defined(values), independent_pairs(positive, ids), jackknife)
        areas.append({"endpoint": endpoint.name, **counts, "auc": asdict(area)})
    found = [
        {**head, **plain(judged(worst(called, of), worst(positive, of), ids, jackknife))}
        for head, positive, called in points
    ]
    return {"n": len(ids), "areas": areas, "operating_points": found}


def worst(values: NDArray[Any], of: NDArray[np.integer]) -> NDArray[Any]:
    """The highest value of each patient's images.

    Args:
        values: Of the images, [n].
        of: Patient of each, int [n], from 0 without gaps.

    Returns:
        Of the patients, of the same type.
    """
    found = values[np.unique(of, return_index=True)[1]].copy()
    np.maximum.at(found, of, values)
    return found
