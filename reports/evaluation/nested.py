"""The whole evaluation of a nested run: what its metrics.json holds.

The table of `reports.evaluation.nested.nested_metrics`, and these sections:

    nested_calibration  uncorrected and corrected: brier, log_loss and classwise_ece, means over the outer folds
    operating_points    list of `NestedOperatingPoint`: each fold's own thresholds, the counts of all folds added up
    decision_curve      as in `reports.evaluation.evaluate`; corrected probabilities mean the same in each fold
    subgroups           list of `reports.evaluation.subgroups.SubgroupResult`, cases compared within an outer fold only

With all patients evaluated once, slices that a hold-out has to suppress are large enough to be shown.

Nested cross-validation: metrics within each outer fold, averaged over the folds.

Every outer fold has a model of its own, and scores of different models share no scale: an AUC that ranks a case of one
fold against a case of another measures the models' offsets too. So cases are compared within a fold only, and the mean
over the folds is the headline; the pooled value is given beside it. Both estimate the procedure (search, choice,
retraining) on the outer training patients, not the model that is trained on all of them in the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.errors import ReportError
from reports.evaluation.decision_curve import decision_curve
from reports.evaluation.evaluate import CALIBRATION_METRICS, Evaluation, curve_section
from reports.evaluation.subgroups import CaseAttributes, subgroup_results
from reports.metrics.auc import Floats
from reports.metrics.degenerate import independent_draws, is_unmoved, unmoved_interval
from reports.metrics.intervals import LEVEL, RESAMPLES, Interval, interval, patient_weights, share
from reports.metrics.table import (
    MetricPath,
    abnormal_scores,
    classification_metrics,
    metric_values,
    place,
    primary_scores,
)
from reports.metrics.table_intervals import metric_intervals
from reports.predictions import Predictions
from reports.trials import TrialRecord

HEADLINE = (("abnormal_auc", "abnormal versus normal AUC"), ("macro_ovr_auc", "macro one-vs-rest AUC"))
_COUNTS = ("n", "n_patients", "class_counts")


@dataclass(frozen=True)
class NestedOperatingPoint:
    """What thresholds that each outer fold chose for itself do on the patients it left out.

    Attributes:
        endpoint: What counts as positive.
        target_specificity: Specificity that was asked for.
        thresholds: One an outer fold; None where no score of that fold reaches the target.
        sensitivity: Over all folds; patients are drawn within their fold.
        specificity: The same.
        true_positives: Images called positive rightly.
        positives: Positive images.
        false_positives: Images called positive wrongly.
        negatives: Negative images.
    """

    endpoint: str
    target_specificity: float
    thresholds: tuple[float | None, ...]
    sensitivity: Interval
    specificity: Interval
    true_positives: int
    positives: int
    false_positives: int
    negatives: int


def evaluate_nested(
    exported: Predictions,
    corrected: Predictions | None,
    outer_folds: NDArray[np.integer],
    fold_metrics: Sequence[Mapping[str, Any]],
    *,
    attributes: Mapping[str, CaseAttributes],
    radius_cuts: tuple[float, float] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """Evaluates the outer predictions of all patients.

    Args:
        exported: As the folds' models give them.
        corrected: The same, each corrected by its own fold's prior and temperature; None where a fold has none.
        outer_folds: Outer fold of each case, int [n].
        fold_metrics: metrics.json of each fold's own run, in the order of the folds' numbers.
        attributes: Image id to attributes, for the subgroups.
        radius_cuts: Terciles of the radius.
        resamples: Bootstrap resamples of patients.
        seed: Seed of the draws.

    Returns:
        The evaluation.

    Raises:
        ReportError: If a patient stands in two folds.
    """
    table = nested_metrics(exported, outer_folds, resamples=resamples, seed=seed)
    curve = None
    if corrected is not None:
        after = nested_metrics(corrected, outer_folds, resamples=resamples, seed=seed)
        table["nested_calibration"] = {
            "uncorrected": {name: table[name] for name in CALIBRATION_METRICS},
            "corrected": {name: after[name] for name in CALIBRATION_METRICS},
        }
        curve = decision_curve(corrected, *primary_scores(corrected), resamples=resamples, seed=seed)
        table["decision_curve"] = curve_section(curve)
        points = _operating_points(corrected, outer_folds, fold_metrics, resamples=resamples, seed=seed)
        table["operating_points"] = [asdict(point) for point in points]
    slices = subgroup_results(
        exported, attributes, radius_cuts=radius_cuts, resamples=resamples, seed=seed, folds=outer_folds
    )
    table["subgroups"] = [result.as_dict() for result in slices]
    return Evaluation(table, exported, corrected, curve, slices)


def _operating_points(
    corrected: Predictions,
    outer_folds: NDArray[np.integer],
    fold_metrics: Sequence[Mapping[str, Any]],
    *,
    resamples: int,
    seed: int,
) -> list[NestedOperatingPoint]:
    weights = patient_weights(corrected.patient_ids, resamples=resamples, seed=seed, folds=outer_folds)
    tables = [
        {(point["endpoint"], point["target_specificity"]): point["threshold"] for point in metrics["operating_points"]}
        for metrics in fold_metrics
    ]
    primary = f"{corrected.class_names[-1]} versus rest"
    found = []
    for endpoint, target in tables[0]:
        if any((endpoint, target) not in table for table in tables):
            continue
        thresholds = tuple(table[endpoint, target] for table in tables)
        positive, scores = (primary_scores if endpoint == primary else abnormal_scores)(corrected)
        by_fold = np.array([np.inf if threshold is None else threshold for threshold in thresholds])
        called = scores >= by_fold[np.unique(outer_folds, return_inverse=True)[1]]
        found.append(
            NestedOperatingPoint(
                endpoint=endpoint,
                target_specificity=target,
                thresholds=thresholds,
                sensitivity=share(called, positive, corrected.patient_ids, weights),
                specificity=share(~called, ~positive, corrected.patient_ids, weights),
                true_positives=int((called & positive).sum()),
                positives=int(positive.sum()),
                false_positives=int((called & ~positive).sum()),
                negatives=int((~positive).sum()),
            )
        )
    return found


@dataclass(frozen=True)
class OuterFold:
    """One outer fold of a nested run: a search on the other folds' patients, evaluated on this fold's.

    Attributes:
        number: From 1.
        patients: Patients of the fold.
        class_counts: Their images by class name.
        metrics: metrics.json of the fold's own run.
        winner: The configuration that its search chose.
        readings: How many times these patients have been evaluated under this split, this one included.
        report: Link to the fold's own report, relative to that of the nested run, or "".
    """

    number: int
    patients: int
    class_counts: Mapping[str, int]
    metrics: Mapping[str, Any]
    winner: TrialRecord
    readings: int
    report: str = ""


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
        As `reports.metrics.table_intervals.with_intervals`; the metrics are means over the outer folds (folds in which
        a metric is not defined are left out), ``pooled`` holds those over all cases, ``outer_folds`` for each fold
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
