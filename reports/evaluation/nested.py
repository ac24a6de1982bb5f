"""The whole evaluation of a nested run: metrics within each outer fold, averaged over the folds.

Every outer fold has a model of its own, and scores of different models share no scale: an AUC that ranks a case of one
fold against a case of another measures the models' offsets too. So cases are compared within a fold only, and the mean
over the folds is the headline; the pooled value is given beside it. Both estimate the procedure (search, choice,
retraining) on the outer training patients, not the model that is trained on all of them in the end. With all patients
evaluated once, slices that a hold-out has to suppress are large enough to be shown.

A nested run's metrics.json holds the table of `nested_metrics`, and these sections:

    nested_calibration  uncorrected and corrected: `CALIBRATION_METRICS`, means over the outer folds
    operating_points    list of endpoint, target_specificity, thresholds (one an outer fold, its own; null where no
                        score of that fold reaches the target), sensitivity and specificity (over all folds, patients
                        drawn within their fold), true_positives, positives, false_positives, negatives (of all folds)
    decision_curve      as in `reports.evaluation.evaluate`; corrected probabilities mean the same in each fold
    subgroups           list of `reports.evaluation.subgroups.SubgroupResult`, cases compared within an outer fold only
    baselines           list of name, what, metrics and difference, see `nested_baselines`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.decisions.decision_curve import decision_curve
from reports.decisions.operating_points import judged, plain
from reports.evaluation.comparison import COMPARED, HeldOut, differences
from reports.evaluation.evaluate import CALIBRATION_METRICS, Evaluation, curve_section
from reports.evaluation.subgroups import CaseAttributes, subgroup_results
from reports.metrics.auc import Floats
from reports.metrics.degenerate import independent_draws, is_unmoved, unmoved_interval
from reports.metrics.intervals import LEVEL, RESAMPLES, check_folds, interval, patient_weights
from reports.metrics.table import (
    calibration_values,
    classification_metrics,
    defined_or_none,
    endpoints,
    mean_over_folds,
    metric_values,
    place,
    primary_scores,
)
from reports.metrics.table_intervals import interval_of_values, metric_intervals
from reports.predictions import Predictions
from reports.trials import TrialRecord

HEADLINE = (("abnormal_auc", "abnormal versus normal AUC"), ("macro_ovr_auc", "macro one-vs-rest AUC"))
_COUNTS = ("n", "n_patients", "class_counts")


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
        corrected: The same, each with its own fold's correction, if it has chosen one; None where a fold could not.
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
        weights = patient_weights(corrected.patient_ids, resamples=resamples, seed=seed, folds=outer_folds)
        table["operating_points"] = _operating_points(corrected, outer_folds, fold_metrics, weights)
    slices = subgroup_results(
        exported, attributes, radius_cuts=radius_cuts, resamples=resamples, seed=seed, folds=outer_folds
    )
    table["subgroups"] = [asdict(result) for result in slices]
    return Evaluation(table, exported, corrected, curve, slices)


def _operating_points(
    corrected: Predictions, outer_folds: NDArray[np.integer], fold_metrics: Sequence[Mapping[str, Any]], weights: Floats
) -> list[dict[str, Any]]:
    tables = [
        {(point["endpoint"], point["target_specificity"]): point["threshold"] for point in metrics["operating_points"]}
        for metrics in fold_metrics
    ]
    primary, abnormal = endpoints(corrected)
    found = []
    for name, target in (key for key in tables[0] if all(key in table for table in tables)):
        thresholds = tuple(table[name, target] for table in tables)
        endpoint = primary if name == primary.name else abnormal
        by_fold = np.array([np.inf if threshold is None else threshold for threshold in thresholds])
        called = endpoint.scores >= by_fold[np.unique(outer_folds, return_inverse=True)[1]]
        judgement = judged(called, endpoint.positive, corrected.patient_ids, weights)
        head = {"endpoint": name, "target_specificity": target, "thresholds": thresholds}
        found.append(head | plain(judgement))
    return found


def nested_baselines(
    exported: Predictions,
    others: Mapping[str, Predictions],
    outer_folds: NDArray[np.integer],
    fold_metrics: Sequence[Mapping[str, Any]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """``baselines`` of a nested run's metrics.json: means over the outer folds, each fold's baselines being its own.

    Args:
        exported: What the folds' winners say of the patients that their searches had not seen.
        others: Name of each baseline to what it says of the same cases, in the same order.
        outer_folds: Outer fold of each case, int [n].
        fold_metrics: metrics.json of each fold's own run, in the order of the folds' numbers.
        resamples: Bootstrap resamples of patients, within their fold.
        seed: Seed of the draw.

    Returns:
        A list of name, what, and metrics and difference (winners − baseline) of `COMPARED`, percentile intervals.
    """
    what = {each["name"]: each["what"] for each in fold_metrics[0].get("baselines", ())}
    own = HeldOut(exported, outer_folds)
    section = []
    for name, table in others.items():
        other = HeldOut(table, outer_folds)
        found = other.values(COMPARED, other.weights(resamples=resamples, seed=seed))
        less = differences(own, other, resamples=resamples, seed=seed)
        section.append(
            {
                "name": name,
                "what": what.get(name, ""),
                "metrics": {metric: asdict(interval_of_values(values)) for metric, values in found.items()},
                "difference": {metric: asdict(limits) for metric, limits in less.items()},
            }
        )
    return section


def nested_metrics(
    predictions: Predictions, outer_folds: NDArray[np.integer], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """The table of `reports.metrics.table` for a nested protocol.

    Args:
        predictions: Outer held-out predictions of all patients.
        outer_folds: Outer fold of each case, int [n]; each patient in one.
        resamples: Bootstrap resamples; patients are drawn within their fold, for the folds are fixed.
        seed: Seed of the draw.

    Returns:
        As `reports.metrics.table_intervals.with_intervals`; the metrics are means over the outer folds (folds in which
        a metric is not defined are left out), ``pooled`` holds those over all cases, ``outer_folds`` for each fold
        ``fold``, ``n``, ``n_patients``, ``class_counts`` and the values of the metrics, ``notes`` says of which folds a
        headline metric is not the mean.

    Raises:
        ReportError: If a patient stands in two folds.
    """
    folds = np.asarray(outer_folds)
    check_folds(predictions.patient_ids, folds)
    points, replicates, independent = [], [], []
    by_fold: list[dict[str, Any]] = []
    weights = patient_weights(predictions.patient_ids, resamples=resamples, seed=seed, folds=folds)
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        part = predictions.take(rows)
        plain_metrics = classification_metrics(part)
        by_fold.append({"fold": int(fold)} | {key: plain_metrics[key] for key in _COUNTS})
        points.append(metric_values(part, np.ones((1, len(part)))))
        replicates.append(metric_values(part, weights[:, rows]))
        independent.append(independent_draws(part))
    table = classification_metrics(predictions)
    for name in calibration_values(predictions):
        del table[name]  # of all folds' models together it would be of none
    pooled: dict[str, Any] = {}
    of_all = metric_intervals(predictions, resamples=resamples, seed=seed, method="percentile")
    for path, limits in of_all.items():
        value, means = float(mean_over_folds(points, path)[0]), mean_over_folds(replicates, path)
        found = interval(value, means)
        if is_unmoved(value, means):
            defined = [np.isfinite(point[path][0]) for point in points]
            draws = [part.get(path, 0) for part, here in zip(independent, defined, strict=True) if here]
            found = unmoved_interval(value, len(draws) * min(draws))
        place(table, path, asdict(found))
        place(pooled, path, asdict(limits))
        for position, point in enumerate(points):
            place(by_fold[position], path, defined_or_none(point[path][0]))
    unit = "patient, within outer folds"
    return table | {
        "pooled": pooled,
        "outer_folds": by_fold,
        "notes": _undefined_notes(by_fold, table["primary_endpoint"]),
        "intervals": {"unit": unit, "resamples": resamples, "seed": seed, "level": LEVEL, "method": "percentile"},
    }


def _undefined_notes(by_fold: Sequence[Mapping[str, Any]], primary_endpoint: str) -> list[str]:
    """A sentence for each headline metric that is not defined in some folds, or in none."""
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
