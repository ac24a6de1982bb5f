"""Evaluation of a model whose calibration and thresholds stand already: nothing is fitted on the cases at hand.

The table is that of `reports.metrics.table` with intervals, and of the sections of `reports.evaluation.evaluate`

    calibration        temperature, log_prior_shift, cases (fitted on); uncorrected and corrected: brier, log_loss,
                       classwise_ece with intervals
    operating_points   list of endpoint, target_specificity, threshold; sensitivity, specificity with intervals;
                       true_positives, positives, false_positives, negatives; wilson_sensitivity
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reports.evaluation.evaluate import CALIBRATION_METRICS, corrected_predictions
from reports.evaluation.operating_points import SPECIFICITIES, threshold_at_specificity
from reports.evaluation.temperature import ProbabilityCorrection
from reports.metrics.auc import Floats
from reports.metrics.intervals import LEVEL, RESAMPLES, Method, patient_weights, share, wilson
from reports.metrics.table import abnormal_scores, primary_scores
from reports.metrics.table_intervals import metric_intervals, with_intervals
from reports.predictions import Predictions


@dataclass(frozen=True)
class FixedThreshold:
    """A threshold that was chosen on other patients.

    Attributes:
        endpoint: For example "malignant versus rest".
        classes: The positive classes; their corrected probabilities are added up to the score.
        target_specificity: What it was chosen for.
        threshold: Scores of at least this are called positive; None: nothing is.
    """

    endpoint: str
    classes: tuple[str, ...]
    target_specificity: float
    threshold: float | None


def evaluate_fixed(
    predictions: Predictions,
    *,
    correction: ProbabilityCorrection | None,
    thresholds: Sequence[FixedThreshold] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
    method: Method = "bca",
) -> dict[str, Any]:
    """Metrics of a model as it is, with patient-bootstrap intervals.

    Args:
        predictions: The model's own probabilities, of patients that it has not been developed on.
        correction: From them to calibrated ones, fitted on development patients; None for none.
        thresholds: On calibrated probabilities.
        resamples: Bootstrap resamples of patients.
        seed: Seed of the draws.
        method: How the limits of the metrics are found.

    Returns:
        Plain values that `json.dumps` takes.
    """
    table = with_intervals(predictions, resamples=resamples, seed=seed, method=method)
    scored = predictions
    if correction is not None:
        scored = corrected_predictions(predictions, correction)
        section: dict[str, Any] = {
            "temperature": correction.temperature,
            "log_prior_shift": list(correction.log_prior_shift),
            "cases": correction.cases,
        }
        for name, each in (("uncorrected", predictions), ("corrected", scored)):
            found = metric_intervals(each, resamples=resamples, seed=seed, method=method)
            section[name] = {metric: found[metric,].as_dict() for metric in CALIBRATION_METRICS}
        table["calibration"] = section
    weights = patient_weights(predictions.patient_ids, resamples=resamples, seed=seed)
    table["operating_points"] = [_judged(scored, threshold, weights) for threshold in thresholds]
    return table


def fixed_thresholds(
    development: Predictions, specificities: Sequence[float] = SPECIFICITIES
) -> tuple[FixedThreshold, ...]:
    """Thresholds from development patients, as `reports.evaluation.operating_points` chooses them.

    Args:
        development: Calibrated out-of-fold probabilities.
        specificities: Targets.
    """
    names = development.class_names
    found = []
    for endpoint, classes, scores_of in (
        (f"{names[-1]} versus rest", names[-1:], primary_scores),
        (f"abnormal versus {names[0]}", names[1:], abnormal_scores),
    ):
        positive, scores = scores_of(development)
        if positive.all():
            continue
        for target in specificities:
            threshold = threshold_at_specificity(positive, scores, target)
            found.append(FixedThreshold(endpoint, classes, target, threshold if np.isfinite(threshold) else None))
    return tuple(found)


def _judged(predictions: Predictions, point: FixedThreshold, weights: Floats) -> dict[str, Any]:
    columns = [predictions.class_names.index(name) for name in point.classes]
    positive = np.isin(predictions.labels, columns)
    threshold = np.inf if point.threshold is None else point.threshold
    called = predictions.probabilities[:, columns].sum(axis=1) >= threshold
    hits = int((called & positive).sum())
    return {
        "endpoint": point.endpoint,
        "target_specificity": point.target_specificity,
        "threshold": point.threshold,
        "sensitivity": asdict(share(called, positive, predictions.patient_ids, weights)),
        "specificity": asdict(share(~called, ~positive, predictions.patient_ids, weights)),
        "true_positives": hits,
        "positives": int(positive.sum()),
        "false_positives": int((called & ~positive).sum()),
        "negatives": int((~positive).sum()),
        "wilson_sensitivity": asdict(wilson(hits, int(positive.sum()), level=LEVEL)),
    }
