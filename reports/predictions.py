"""Predictions: the table that every metric, figure and report is made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of n cases.

    Attributes:
        image_ids: Unique image names, n.
        patient_ids: The patient of each image, n; intervals resample patients, never images.
        labels: True class index, int64 [n].
        probabilities: float64 [n, classes], rows sum to 1.
        class_names: Ordered class names, from harmless to worst.
    """

    image_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    class_names: tuple[str, ...]
