"""Limits of a metric that no resample moves.

Where a model ranks or calls every case right, so it does in every resample of them, and a bootstrap interval would read
1.00 to 1.00: a certainty that thirteen malignant images don't give. For metrics that are probabilities of an event in
independent draws, Wilson's limits stand there instead:

    a share (accuracy, recall, specificity, precision, sensitivity)
        the event is a right call; as many draws as there are patients that it is a share of
    an AUC
        the event is that a positive scores above a negative; as many draws as one can form pairs of a positive and a
        negative case from different patients, each patient in one pair
    the mean of one-vs-rest AUCs or of recalls
        as of the class with the fewest draws

Patients count, not images, so that the limits are on the safe side. Other metrics have none then.

Share of 500 simulated sets of 80 images (10 malignant, two correlated images a patient, BCa from 500 resamples) whose
95 % interval holds the true AUC:

    true AUC   perfect sets   BCa alone   with these limits
    0.983      11 %           86.0 %      96.8 %
    0.993      33 %           66.4 %      99.4 %
    0.998      59 %           40.4 %      99.6 %
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reports.metrics.auc import Floats
from reports.metrics.intervals import LEVEL, ROUNDING, Interval, wilson
from reports.metrics.table import MetricPath, abnormal_scores, defined_or_none
from reports.predictions import Predictions


def is_unmoved(value: float, replicates: Floats) -> bool:
    """Whether a metric is the same in all resamples that define it, and at least one does."""
    good = replicates[np.isfinite(replicates)]
    return bool(math.isfinite(value) and len(good) and np.abs(good - value).max() <= ROUNDING)


def unmoved_interval(value: float, draws: int, *, level: float = LEVEL, undefined: int = 0) -> Interval:
    """Wilson's limits of a probability that was estimated as 0 or 1; none for another value.

    Args:
        value: What every resample gives.
        draws: Independent draws behind it; 0 where the metric is no probability.
        level: Coverage.
        undefined: Resamples in which the metric was not defined.
    """
    nearest = round(value)
    if draws < 1 or abs(value - nearest) > ROUNDING or nearest not in (0, 1):
        return Interval(defined_or_none(value), None, None, level, "unmoved", undefined)
    limits = wilson(nearest * draws, draws, level=level)
    return Interval(limits.value, limits.lower, limits.upper, level, "wilson", undefined)


def independent_pairs(positive: NDArray[np.bool_], patient_ids: tuple[str, ...]) -> int:
    """Pairs of a positive and a negative case that one can form, each patient in one pair at most.

    Args:
        positive: bool [n].
        patient_ids: Patient of each case, n.
    """
    patients = np.array(patient_ids, dtype=str)
    with_positive, with_negative = set(patients[positive].tolist()), set(patients[~positive].tolist())
    return min(len(with_positive), len(with_negative), len(with_positive | with_negative) // 2)


def independent_draws(predictions: Predictions) -> dict[MetricPath, int]:
    """Of each metric that is a probability, how many independent draws the cases hold.

    Args:
        predictions: The cases.

    Returns:
        Metric path to a number; metrics that are no probability are absent.
    """
    labels, called, names = predictions.labels, predictions.predicted, predictions.class_names
    patients = np.array(predictions.patient_ids, dtype=str)

    def among(rows: NDArray[np.bool_]) -> int:
        return len(np.unique(patients[rows]))

    pairs = [independent_pairs(labels == index, predictions.patient_ids) for index in range(len(names))]
    of_class = [among(labels == index) for index in range(len(names))]
    draws: dict[MetricPath, int] = {
        ("primary_auc",): pairs[-1],
        ("abnormal_auc",): independent_pairs(abnormal_scores(predictions)[0], predictions.patient_ids),
        ("macro_ovr_auc",): min(pairs),
        ("accuracy",): predictions.n_patients,
        ("balanced_accuracy",): min(of_class),
        ("sensitivity_at_90_specificity",): of_class[-1],
        ("sensitivity_at_95_specificity",): of_class[-1],
    }
    for index, name in enumerate(names):
        draws["per_class", name, "auc"] = pairs[index]
        draws["per_class", name, "recall"] = of_class[index]
        draws["per_class", name, "precision"] = among(called == index)
        draws["per_class", name, "specificity"] = among(labels != index)
    return draws
