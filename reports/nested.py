"""Nested cross-validation: metrics within each outer fold, averaged over the folds.

Every outer fold has a model of its own, and scores of different models share no scale: an AUC that ranks a case of one
fold against a case of another measures the models' offsets too. So cases are compared within a fold only, and the mean
over the folds is the headline; the pooled value is given beside it. Both estimate the procedure (search, choice,
retraining) on the outer training patients, not the model that is trained on all of them in the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.errors import ReportError
from reports.metrics.auc import Floats
from reports.metrics.degenerate import independent_draws, is_unmoved, unmoved_interval
from reports.metrics.intervals import LEVEL, RESAMPLES, interval, patient_weights
from reports.metrics.table import MetricPath, classification_metrics, metric_values, place
from reports.metrics.table_intervals import metric_intervals
from reports.predictions import Predictions

HEADLINE = (("abnormal_auc", "abnormal versus normal AUC"), ("macro_ovr_auc", "macro one-vs-rest AUC"))

_COUNTS = ("n", "n_patients", "class_counts")


def nested_metrics(
    predictions: Predictions,
    outer_folds: NDArray[np.integer],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Any]:
    """The table of `reports.metrics.table` for a nested protocol.

    Args:
        predictions: Outer held-out predictions of all patients.
        outer_folds: Outer fold of each case, int [n]; each patient in one.
        resamples: Bootstrap resamples; patients are drawn within their fold, for the folds are fixed.
        seed: Seed of the draw.
        level: Coverage.

    Returns:
        As `reports.metrics.table_intervals.with_intervals`; the metrics are means over the outer folds (folds in which a
        metric is not defined are left out), ``pooled`` holds those over all cases, ``outer_folds`` for each fold
        ``fold``, ``n``, ``n_patients``, ``class_counts`` and the values of the metrics, ``notes`` says of which folds a
        headline metric is not the mean.

    Raises:
        ReportError: If a patient stands in two folds.
    """
    folds = np.asarray(outer_folds)
    if len(set(zip(predictions.patient_ids, folds.tolist(), strict=True))) != predictions.n_patients:
        raise ReportError(
            expected="each patient in one outer fold",
            found="a patient in two",
            remedy="Make the outer folds by patient.",
        )
    points, replicates, independent = [], [], []
    by_fold: list[dict[str, Any]] = []
    weights = patient_weights(predictions.patient_ids, resamples=resamples, seed=seed, folds=folds)
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        part = predictions.take(rows)
        by_fold.append({"fold": int(fold)} | {key: classification_metrics(part)[key] for key in _COUNTS})
        points.append(metric_values(part, np.ones((1, len(part)))))
        replicates.append(metric_values(part, weights[:, rows]))
        independent.append(independent_draws(part))
    table = classification_metrics(predictions)
    pooled: dict[str, Any] = {}
    for path, limits in metric_intervals(
        predictions, resamples=resamples, seed=seed, level=level, method="percentile"
    ).items():
        value, means = float(_mean_over_folds(points, path)[0]), _mean_over_folds(replicates, path)
        found = interval(value, means, level=level)
        if is_unmoved(value, means):
            defined = [np.isfinite(point[path][0]) for point in points]
            draws = [part.get(path, 0) for part, here in zip(independent, defined, strict=True) if here]
            found = unmoved_interval(value, len(draws) * min(draws), level=level)
        place(table, path, found.as_dict())
        place(pooled, path, limits.as_dict())
        for position, point in enumerate(points):
            number = float(point[path][0])
            place(by_fold[position], path, number if np.isfinite(number) else None)
    table["pooled"] = pooled
    table["outer_folds"] = by_fold
    table["notes"] = undefined_notes(by_fold, table["primary_endpoint"])
    table["intervals"] = {
        "unit": "patient, within outer folds",
        "resamples": resamples,
        "seed": seed,
        "level": level,
        "method": "percentile",
    }
    return table


def undefined_notes(by_fold: Sequence[Mapping[str, Any]], primary_endpoint: str) -> list[str]:
    """A sentence for each headline metric that is not defined in some folds, or in none.

    Args:
        by_fold: ``outer_folds`` of `nested_metrics`.
        primary_endpoint: Its name.
    """
    notes = []
    for key, name in (("primary_auc", f"{primary_endpoint} AUC"), *HEADLINE):
        missing = [entry for entry in by_fold if entry[key] is None]
        if not missing:
            continue
        where = f"outer fold{'s' if len(missing) > 1 else ''} {', '.join(str(entry['fold']) for entry in missing)}"
        absent = sorted({label for entry in missing for label, count in entry["class_counts"].items() if not count})
        why = f" (no {' or '.join(absent)} image)" if absent else ""
        rest = len(by_fold) - len(missing)
        mean = "so it has no mean" if not rest else f"its mean is over the other {rest}" if rest > 1 else "one is left"
        notes.append(f"{name[0].upper()}{name[1:]} is not defined in {where}{why}; {mean}.")
    return notes


def _mean_over_folds(values: list[dict[MetricPath, Floats]], path: MetricPath) -> Floats:
    stacked = np.stack([value[path] for value in values])
    defined = np.isfinite(stacked)
    count = defined.sum(axis=0)
    total = np.where(defined, stacked, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
