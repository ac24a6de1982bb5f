"""The whole evaluation of a nested run: what its metrics.json holds.

The table of `reports.nested.nested_metrics`, and these sections:

    nested_calibration  uncorrected and corrected: brier, log_loss and classwise_ece, means over the outer folds
    operating_points    list of `NestedOperatingPoint`: each fold's own thresholds, the counts of all folds added up
    decision_curve      as in `reports.evaluation.evaluate`; corrected probabilities mean the same in each fold
    subgroups           list of `reports.evaluation.subgroups.SubgroupResult`, cases compared within an outer fold only

With all patients evaluated once, slices that a hold-out has to suppress are large enough to be shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.evaluation.decision_curve import decision_curve
from reports.evaluation.evaluate import CALIBRATION_METRICS, Evaluation, curve_section
from reports.evaluation.subgroups import CaseAttributes, subgroup_results
from reports.metrics.intervals import RESAMPLES, Interval, patient_weights, share
from reports.metrics.table import abnormal_scores, primary_scores
from reports.nested import nested_metrics
from reports.predictions import Predictions
from reports.trial_record import TrialRecord


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
