"""Every metric with its patient-bootstrap interval, and the difference of two models on the same resamples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.errors import ReportError
from reports.metrics.auc import Floats
from reports.metrics.degenerate import independent_draws, is_unmoved, unmoved_interval
from reports.metrics.intervals import LEVEL, RESAMPLES, Interval, Method, interval, jackknife_weights, patient_weights
from reports.metrics.table import MetricPath, classification_metrics, metric_values, place
from reports.predictions import Predictions


def with_intervals(
    predictions: Predictions, *, resamples: int = RESAMPLES, seed: int = 0, method: Method = "bca"
) -> dict[str, Any]:
    """The table of ``metrics.json``: `reports.metrics.table.classification_metrics` with an interval for each metric.

    Args:
        predictions: The cases.
        resamples: Bootstrap resamples of patients.
        seed: Seed of the draw.
        method: How limits are found.

    Returns:
        The nested table; each metric is ``{"value", "lower", "upper", "level", "method", "undefined"}``, and the key
        ``intervals`` says how they were made.
    """
    table = classification_metrics(predictions)
    for path, limits in metric_intervals(predictions, resamples=resamples, seed=seed, method=method).items():
        place(table, path, asdict(limits))
    how = {"unit": "patient", "resamples": resamples, "seed": seed, "level": LEVEL, "method": method}
    return table | {"intervals": how}


def metric_intervals(
    predictions: Predictions, *, resamples: int = RESAMPLES, seed: int = 0, method: Method = "bca"
) -> dict[MetricPath, Interval]:
    """Every metric of `reports.metrics.table.metric_values` with its patient-bootstrap interval.

    A metric that no resample moves has the limits of `reports.metrics.degenerate`, and their method.
    """
    point = metric_values(predictions, np.ones((1, len(predictions))))
    draws = metric_values(predictions, patient_weights(predictions.patient_ids, resamples=resamples, seed=seed))
    left_out: Mapping[MetricPath, Floats | None] = dict.fromkeys(point)
    if method == "bca":
        left_out = metric_values(predictions, jackknife_weights(predictions.patient_ids))
    independent = independent_draws(predictions)

    def limits(path: MetricPath, value: float) -> Interval:
        if is_unmoved(value, draws[path]):
            undefined = int(np.isnan(draws[path]).sum())
            return unmoved_interval(value, independent.get(path, 0), undefined=undefined)
        return interval(value, draws[path], method=method, jackknife=left_out[path])

    return {path: limits(path, float(value[0])) for path, value in point.items()}


def paired_difference(
    first: Predictions,
    second: Predictions,
    metric: Callable[[Predictions, Floats], Floats],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Percentile interval of metric(first) − metric(second) on the same patients.

    The two models are computed on the same resamples, so what makes a set of patients easy or hard cancels out.

    Args:
        first: Predictions of one model.
        second: Predictions of another model for the same images; their order may differ.
        metric: From predictions and case weights [resamples, n] to float64 [resamples].
        resamples: Bootstrap resamples of patients.
        seed: Seed of the draw.

    Returns:
        The difference with its limits; a limit on either side of 0 means that the data do not tell the models apart.
        No limits where no resample moves the difference of two models that are not the same.

    Raises:
        ReportError: If the two tables are not about the same images, patients and labels.
    """
    other = in_order_of(first, second)
    weights = weights_with_whole(first.patient_ids, resamples=resamples, seed=seed)
    same = np.array_equal(first.probabilities, other.probabilities)
    return interval_of_values(metric(first, weights) - metric(other, weights), same=same)


def in_order_of(first: Predictions, second: Predictions) -> Predictions:
    """The second table in the order of the first.

    Raises:
        ReportError: If the two are not about the same images, patients and labels.
    """
    where = {image: row for row, image in enumerate(second.image_ids)}
    if set(where) != set(first.image_ids):
        raise ReportError(
            expected="two models' predictions of the same images",
            found=f"{len(set(where) ^ set(first.image_ids))} images that only one of them has",
            remedy="Predict the same split with both.",
        )
    other = second.take(where[image] for image in first.image_ids)
    same_truth = np.array_equal(first.labels, other.labels) and first.patient_ids == other.patient_ids
    if not same_truth or first.class_names != other.class_names:
        raise ReportError(
            expected="the same patients, labels and classes in both tables",
            found="different ones for the same image names",
            remedy="Predict both from one case table.",
        )
    return other


def weights_with_whole(
    patient_ids: tuple[str, ...], *, resamples: int, seed: int, folds: NDArray[np.integer] | None = None
) -> Floats:
    """Weights of the cases as they are, then of resampled patients, float64 [1 + resamples, n].

    Args: As `reports.metrics.intervals.patient_weights`.
    """
    drawn = patient_weights(patient_ids, resamples=resamples, seed=seed, folds=folds)
    return np.concatenate([np.ones((1, len(patient_ids))), drawn])


def interval_of_values(values: Floats, *, same: bool = False) -> Interval:
    """Percentile interval of a metric, or of a difference of two models.

    Args:
        values: Of the cases as they are, then of each resample, float64 [1 + resamples].
        same: Whether it is the difference of a model and itself; any other that no resample moves has no limits.
    """
    value, replicates = float(values[0]), values[1:]
    if not same and is_unmoved(value, replicates):
        return unmoved_interval(value, 0)
    return interval(value, replicates)
