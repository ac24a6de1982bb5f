"""How many independent draws stand behind a share, an area or a rate: for limits where it is 0 or 1.

Where a model ranks or calls every case right, so it does without any patient, and limits taken from that would read
1.00 to 1.00: a certainty that thirteen malignant images don't give. For figures that are probabilities of an event in
independent draws, Clopper & Pearson's limits stand there instead:

    a share (accuracy, recall, specificity, precision, sensitivity)
        the event is a right call; as many draws as there are patients that it is a share of
    an AUC, and what is taken from the curve
        the event is that a positive scores above a negative; as many draws as one can form pairs of a positive and a
        negative case from different patients, each patient in one pair
    an F1
        the event is that a case of the class, or called so, is both; as many draws as there are patients with one

Patients count, not images, so that the limits are on the safe side. Means are made of their parts' limits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reports.metrics.table import MetricPath, abnormal_scores
from reports.predictions import Predictions


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
    """Of each metric that may be 0 or 1, how many independent draws the cases hold.

    Args:
        predictions: The cases.

    Returns:
        Metric path to a number; means and losses are absent.
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
        ("average_precision",): pairs[-1],
        ("partial_auc",): pairs[-1],
        ("accuracy",): predictions.n_patients,
        ("sensitivity_at_90_specificity",): of_class[-1],
        ("sensitivity_at_95_specificity",): of_class[-1],
    }
    for index, name in enumerate(names):
        draws["per_class", name, "auc"] = pairs[index]
        draws["per_class", name, "recall"] = of_class[index]
        draws["per_class", name, "precision"] = among(called == index)
        draws["per_class", name, "f1"] = among((labels == index) | (called == index))
        draws["per_class", name, "specificity"] = among(labels != index)
    return draws
