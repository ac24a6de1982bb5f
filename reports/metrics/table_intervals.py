"""Every metric with its interval, and the difference of two models with one.

Kind of each metric's limits (`reports.metrics.intervals`):

    logit   AUCs, average precision, partial AUC (its share of what the part can hold)
    counts  accuracy, precision, recall, specificity, sensitivities; F1 by TP / (TP + FP + FN)
    mover   macro AUC, balanced accuracy, macro F1, from the classes' limits by logit
    gamma   Brier score, log loss

`WITHOUT` names those that have none, and why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.errors import ReportError
from reports.metrics.auc import Floats
from reports.metrics.independent import independent_draws
from reports.metrics.intervals import (
    LEVEL,
    Interval,
    ShareKind,
    gamma_limits,
    mover_limits,
    share_limits,
    student_limits,
)
from reports.metrics.resampling import Estimate, Jackknife
from reports.metrics.table import (
    PARTIAL_FALSE_POSITIVE_RATE,
    MetricPath,
    classification_metrics,
    mean_over_folds,
    metric_values,
    place,
)
from reports.predictions import Predictions

WITHOUT = {
    "classwise_ece": "biased upward in small sets: its limits lie above the truth",
    "matthews": "95 % limits hold the truth of a model at chance in 91 % of sets of 80 images",
    "quadratic_kappa": "95 % limits hold the truth of a model at chance in 91 % of sets of 80 images",
    "calibration_intercept": "95 % limits hold the truth in 91 % of sets of 80 images where the AUC is 0.997",
    "calibration_slope": "near an AUC of 1 there is none without some woman, for then a threshold parts the classes",
}
"""Metrics without an interval, and why; that follows from the metric, never from what it came to."""

STEPS = {"brier": 2.0, "log_loss": 4.0}
"""What one image more, called badly, would lose: the most that a Brier score can; the log loss of p = 0.018."""

_AREAS = ("primary_auc", "abnormal_auc", "auc", "average_precision", "partial_auc")
_MEANS = {"macro_ovr_auc": "auc", "balanced_accuracy": "recall", "macro_f1": "f1"}
"""Mean over the classes, and what of."""


class MetricIntervals:
    """All metrics of a table of predictions, and how well its patients determine them.

    Args:
        predictions: The cases.
        folds: In a nested run the outer fold of each case, int [n]: metrics are means over the folds that define them.
        fixed: Whether a split has dealt out the patients of each class (`reports.metrics.resampling.Jackknife`).
    """

    def __init__(
        self, predictions: Predictions, *, folds: NDArray[np.integer] | None = None, fixed: bool = True
    ) -> None:
        self._predictions = predictions
        self.jackknife = Jackknife.of(predictions.patient_ids, predictions.labels, folds=folds, fixed=fixed)
        rows = [np.arange(len(predictions))]
        if folds is not None:
            rows = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
        parts = [predictions.take(here) for here in rows] if folds is not None else [predictions]
        found = [metric_values(part, self.jackknife.weights[:, here]) for part, here in zip(parts, rows, strict=True)]
        self.values: dict[MetricPath, Floats] = {path: mean_over_folds(found, path) for path in found[0]}
        """Each metric under each row of the jackknife's weights."""
        draws = [independent_draws(part) for part in parts]
        self._draws = dict.fromkeys(draws[0], 0)
        for path in self._draws:
            defined = [of[path] for of, each in zip(draws, found, strict=True) if np.isfinite(each[path][0])]
            if defined:
                self._draws[path] = len(defined) * min(defined)

    @cached_property
    def all(self) -> dict[MetricPath, Interval]:
        """Every metric of `reports.metrics.table.metric_values` with its interval."""
        return {path: self.interval(path) for path in self.values}

    def is_same_as(self, other: MetricIntervals) -> bool:
        """Whether both are of the same probabilities."""
        return np.array_equal(self._predictions.probabilities, other._predictions.probabilities)

    def interval(self, path: MetricPath) -> Interval:
        """A metric with its limits; without them where its kind has none, or the patients at hand give none."""
        name, values = path[-1], self.values[path]
        if name in WITHOUT:
            return Interval.of(float(values[0]), None, "none")
        if name in _MEANS:
            return self._mean(path, _MEANS[name])
        if name in STEPS:
            step = STEPS[name] / len(self._predictions)
            return Interval.of(float(values[0]), gamma_limits(self.jackknife.estimate(values), step), "gamma")
        return self._share(path, "logit" if name in _AREAS else "counts")

    def _share(self, path: MetricPath, scale: ShareKind) -> Interval:
        to, back = _SCALES.get(path[-1], _AS_IT_IS)
        found = self.jackknife.estimate(to(self.values[path]))
        limits, kind = share_limits(found, self._draws[path], scale)
        value = float(self.values[path][0])
        return Interval.of(value, None if limits is None else (back(limits[0]), back(limits[1])), kind)

    def _mean(self, path: MetricPath, of: str) -> Interval:
        paths = [("per_class", name, of) for name in self._predictions.class_names]
        parts = [self._share(part, "logit") for part in paths]
        together = self.jackknife.correlation(np.stack([self.values[part] for part in paths]))
        limits = mover_limits(parts, [1 / len(parts)] * len(parts), together)
        return Interval.of(float(self.values[path][0]), limits, "mover")


def _jaccard(f1: Any) -> Any:
    return f1 / (2 - f1)


def _f1(jaccard: float) -> float:
    return 2 * jaccard / (1 + jaccard)


_CHANCE = PARTIAL_FALSE_POSITIVE_RATE / 2
"""What chance fills of the part of the unit square left of the false positive rate."""


def _filled(partial_auc: Any) -> Any:
    """Undoes McClish's standardisation."""
    return _CHANCE + (2 * partial_auc - 1) * (1 - _CHANCE)


def _standardised(filled: float) -> float:
    return 0.5 * (1 + (filled - _CHANCE) / (1 - _CHANCE))


_AS_IT_IS: tuple[Callable[[Any], Any], Callable[[float], float]] = (lambda value: value, lambda value: value)
_SCALES: dict[str, tuple[Callable[[Any], Any], Callable[[float], float]]] = {
    "f1": (_jaccard, _f1),
    "partial_auc": (_filled, _standardised),
}
"""To a share from 0 to 1, and back."""


def with_intervals(predictions: Predictions, *, fixed: bool = True) -> dict[str, Any]:
    """The table of ``metrics.json``: `reports.metrics.table.classification_metrics` with an interval for each metric.

    Args:
        predictions: The cases.
        fixed: As in `MetricIntervals`.

    Returns:
        The nested table; each metric is ``{"value", "lower", "upper", "level", "method", "undefined"}``, and the key
        ``intervals`` says how they were made.
    """
    table = classification_metrics(predictions)
    for path, limits in MetricIntervals(predictions, fixed=fixed).all.items():
        place(table, path, asdict(limits))
    strata = "worst class of each patient" if fixed else None
    return table | {"intervals": intervals_made("patient", strata)}


def intervals_made(unit: str, strata: str | None) -> dict[str, Any]:
    """``intervals`` of metrics.json.

    Args:
        unit: What is left out in turn.
        strata: What is no chance; None: nothing is.
    """
    return {"unit": unit, "level": LEVEL, "method": "jackknife", "strata": strata, "without": WITHOUT}


def difference(first: MetricIntervals, second: MetricIntervals, path: MetricPath, *, paired: bool) -> Interval:
    """What one model has over another.

    Of the same patients, what makes them easy or hard cancels out by the correlation of the two. A difference of areas
    or shares has the wider of the limits that follow from each one's own and of its t interval: the first keep to the
    borders, the second knows how little may move where both are near one.

    Args:
        first: One model's metrics.
        second: Another's; where they are paired, of the same cases in the same order, and in the same folds.
        path: The metric.
        paired: Whether they are of the same patients.
    """
    one, two = first.values[path], second.values[path]
    value = float(one[0] - two[0])
    parts = [each.interval(path) for each in (first, second)]
    if paired:
        together = first.jackknife.correlation(np.stack([one, two]))
        student = student_limits(first.jackknife.estimate(one - two))
        if first.is_same_as(second):
            return Interval.of(value, (0.0, 0.0), "student")
    else:
        together = np.eye(2)
        student = student_limits(_sum(value, first.jackknife.estimate(one), second.jackknife.estimate(two)))
    if path[-1] in STEPS:
        return Interval.of(value, student, "student")
    limits = mover_limits(parts, (1, -1), together)
    if limits is not None and student is not None:
        limits = min(limits[0], student[0]), max(limits[1], student[1])
    return Interval.of(value, limits, "mover")


def _sum(value: float, first: Estimate, second: Estimate) -> Estimate:
    """A value whose variance is the sum of two."""
    total = first.variance + second.variance
    lost = sum(each.variance**2 / each.cautious_freedom for each in (first, second))
    freedom = total**2 / lost if lost > 0 else np.inf
    return Estimate(value, total, freedom, freedom)


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
