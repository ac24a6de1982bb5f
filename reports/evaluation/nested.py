"""The whole evaluation of a nested run: metrics within each outer fold, averaged over the folds.

Every outer fold has a model of its own, and scores of different models share no scale: an AUC that ranks a case of one
fold against a case of another measures the models' offsets too. So cases are compared within a fold only, and the mean
over the folds is the headline; the pooled value is given beside it. Both estimate the procedure (search, choice,
retraining) on the outer training patients, not the model that is trained on all of them in the end. With all patients
evaluated once, slices that a hold-out has to suppress are large enough to be shown.

A nested run's metrics.json holds the table of `nested_metrics`, and these sections:

    nested_calibration  uncorrected and corrected: `CALIBRATION_METRICS`, means over the outer folds
    operating_points    list of endpoint, target_specificity, thresholds (one an outer fold, its own; null where no
                        score of that fold reaches the target), sensitivity and specificity (over all folds),
                        true_positives, positives, false_positives, negatives (of all folds)
    by_patient          `reports.decisions.by_patient.by_patient_section`: figures a woman, the worst of her images
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

from reports.decisions.by_patient import by_patient_section
from reports.decisions.decision_curve import decision_curve
from reports.decisions.operating_points import judged, plain
from reports.evaluation.comparison import COMPARED, HeldOut, differences
from reports.evaluation.evaluate import CALIBRATION_METRICS, Evaluation, curve_section
from reports.evaluation.subgroups import CaseAttributes, subgroup_results
from reports.metrics.resampling import Jackknife, check_folds
from reports.metrics.table import (
    calibration_values,
    classification_metrics,
    defined_or_none,
    endpoints,
    metric_values,
    place,
    primary_scores,
)
from reports.metrics.table_intervals import MetricIntervals, intervals_made
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
) -> Evaluation:
    """Evaluates the outer predictions of all patients.

    Args:
        exported: As the folds' models give them.
        corrected: The same, each with its own fold's correction, if it has chosen one; None where a fold could not.
        outer_folds: Outer fold of each case, int [n].
        fold_metrics: metrics.json of each fold's own run, in the order of the folds' numbers.
        attributes: Image id to attributes, for the subgroups.
        radius_cuts: Terciles of the radius.

    Returns:
        The evaluation.

    Raises:
        ReportError: If a patient stands in two folds.
    """
    table = nested_metrics(exported, outer_folds)
    curve = None
    if corrected is not None:
        after = nested_metrics(corrected, outer_folds)
        table["nested_calibration"] = {
            "uncorrected": {name: table[name] for name in CALIBRATION_METRICS},
            "corrected": {name: after[name] for name in CALIBRATION_METRICS},
        }
        curve = decision_curve(corrected, *primary_scores(corrected))
        table["decision_curve"] = curve_section(curve)
        points = _called(corrected, outer_folds, fold_metrics)
        jackknife = Jackknife.of(corrected.patient_ids, corrected.labels, folds=outer_folds)
        table["operating_points"] = [
            {**head, **plain(judged(called, positive, corrected.patient_ids, jackknife))}
            for head, positive, called in points
        ]
        table["by_patient"] = by_patient_section(exported, points, folds=outer_folds)
    slices = subgroup_results(exported, attributes, radius_cuts=radius_cuts, folds=outer_folds)
    table["subgroups"] = [asdict(result) for result in slices]
    return Evaluation(table, exported, corrected, curve, slices)


def _called(
    corrected: Predictions, outer_folds: NDArray[np.integer], fold_metrics: Sequence[Mapping[str, Any]]
) -> list[tuple[dict[str, Any], NDArray[np.bool_], NDArray[np.bool_]]]:
    """Each operating point that all folds have: what it is, which cases are positive, and which its fold calls so."""
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
        head = {"endpoint": name, "target_specificity": target, "thresholds": thresholds}
        found.append((head, endpoint.positive, called))
    return found


def nested_baselines(
    exported: Predictions,
    others: Mapping[str, Predictions],
    outer_folds: NDArray[np.integer],
    fold_metrics: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """``baselines`` of a nested run's metrics.json: means over the outer folds, each fold's baselines being its own.

    Args:
        exported: What the folds' winners say of the patients that their searches had not seen.
        others: Name of each baseline to what it says of the same cases, in the same order.
        outer_folds: Outer fold of each case, int [n].
        fold_metrics: metrics.json of each fold's own run, in the order of the folds' numbers.

    Returns:
        A list of name, what, and metrics and difference (winners − baseline) of `COMPARED`, with intervals.
    """
    what = {each["name"]: each["what"] for each in fold_metrics[0].get("baselines", ())}
    own = HeldOut(exported, outer_folds)
    section = []
    for name, table in others.items():
        other = HeldOut(table, outer_folds)
        less = differences(own, other)
        section.append(
            {
                "name": name,
                "what": what.get(name, ""),
                "metrics": {metric: asdict(other.metrics.interval((metric,))) for metric in COMPARED},
                "difference": {metric: asdict(limits) for metric, limits in less.items()},
            }
        )
    return section


def nested_metrics(predictions: Predictions, outer_folds: NDArray[np.integer]) -> dict[str, Any]:
    """The table of `reports.metrics.table` for a nested protocol.

    Args:
        predictions: Outer held-out predictions of all patients.
        outer_folds: Outer fold of each case, int [n]; each patient in one.

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
    by_fold: list[dict[str, Any]] = []
    for fold in np.unique(folds):
        part = predictions.take(np.flatnonzero(folds == fold))
        plain_metrics = classification_metrics(part)
        by_fold.append({"fold": int(fold)} | {key: plain_metrics[key] for key in _COUNTS})
        for path, values in metric_values(part, np.ones((1, len(part)))).items():
            place(by_fold[-1], path, defined_or_none(values[0]))
    table = classification_metrics(predictions)
    for name in calibration_values(predictions):
        del table[name]  # of all folds' models together it would be of none
    for path, limits in MetricIntervals(predictions, folds=folds).all.items():
        place(table, path, asdict(limits))
    pooled: dict[str, Any] = {}
    for path, limits in MetricIntervals(predictions).all.items():
        place(pooled, path, asdict(limits))
    return table | {
        "pooled": pooled,
        "outer_folds": by_fold,
        "notes": _undefined_notes(by_fold, table["primary_endpoint"]),
        "intervals": intervals_made("patient, within outer folds", "worst class of each patient, within outer folds"),
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
