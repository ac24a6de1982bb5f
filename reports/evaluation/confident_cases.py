"""Cases that a reader should look at: the most confident right and wrong ones of each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reports.predictions import Predictions

RIGHT_PER_CLASS = 2
WRONG_PER_CLASS = 4


@dataclass(frozen=True)
class ConfidentCase:
    """One case and what the model said of it.

    Attributes:
        image_id: The image.
        patient_id: Its patient.
        label: True class.
        predicted: Most probable class.
        confidence: Its probability.
        probabilities: Of each class, in class order.
        rank: Place among the right, or the wrong, cases of the true class, from 1.
    """

    image_id: str
    patient_id: str
    label: str
    predicted: str
    confidence: float
    probabilities: tuple[float, ...]
    rank: int

    @property
    def right(self) -> bool:
        """Whether the most probable class is the true one."""
        return self.label == self.predicted


def confident_cases(
    predictions: Predictions, *, right: int = RIGHT_PER_CLASS, wrong: int = WRONG_PER_CLASS
) -> tuple[ConfidentCase, ...]:
    """The most confident cases of each true class.

    Args:
        predictions: The cases.
        right: How many right ones a class.
        wrong: How many wrong ones a class.

    Returns:
        By class from worst to harmless, wrong before right, then by falling confidence; of equal ones the first in the
        table.
    """
    confidence = predictions.probabilities.max(axis=1)
    hit = predictions.predicted == predictions.labels
    found = []
    for index in reversed(range(len(predictions.class_names))):
        for side, most in ((~hit, wrong), (hit, right)):
            rows = np.flatnonzero(side & (predictions.labels == index))
            ordered = rows[np.argsort(-confidence[rows], kind="stable")][:most]
            found += [_case(predictions, int(row), rank) for rank, row in enumerate(ordered, start=1)]
    return tuple(found)


def confident_errors(predictions: Predictions) -> tuple[ConfidentCase, ...]:
    """The wrong ones of `confident_cases`, the most confident first."""
    wrong = [case for case in confident_cases(predictions) if not case.right]
    return tuple(sorted(wrong, key=lambda case: -case.confidence))


def _case(predictions: Predictions, row: int, rank: int) -> ConfidentCase:
    names, predicted = predictions.class_names, predictions.predicted[row]
    probabilities = tuple(predictions.probabilities[row].tolist())
    image, patient = predictions.image_ids[row], predictions.patient_ids[row]
    label = names[predictions.labels[row]]
    return ConfidentCase(image, patient, label, names[predicted], probabilities[predicted], probabilities, rank)
