"""What rare classes weigh in the loss, for those who would rather not draw them more often.

One choice of minority handling acts at one place: the balanced sampler draws (``mammo_data.training.sampling``), class
weights and logit adjustment change the loss (here), and in all three the network learns to answer for a world in which
the classes are equally frequent. `training_shares` says so to whoever corrects the probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_UNSEEN = 0.5
"""Stands for the count of a class without a training image, which no logarithm and no division could take."""


@dataclass(frozen=True)
class ClassEmphasis:
    """Weights and offsets of the cross-entropy.

    Attributes:
        weights: Factor on the loss of an image of each class, float32 [classes].
        logit_offset: Added to the logits in training only, float32 [classes].
    """

    weights: NDArray[np.float32]
    logit_offset: NDArray[np.float32]


def class_emphasis(minority: str, labels: NDArray[np.int64], n_classes: int) -> ClassEmphasis:
    """Weights and offsets of one training fold.

    Args:
        minority: "class_weights": n / (classes · count), so that a fold's weights average 1; "logit_adjustment": the
            log of the class shares is added to the logits (Menon et al., ICLR 2021, with τ = 1); any other choice
            leaves the loss alone.
        labels: Class index of each image of the training fold, int64 [n], n above 0; nothing else is looked at.
        n_classes: Number of classes.
    """
    counts = np.maximum(np.bincount(labels, minlength=n_classes), _UNSEEN)
    weights, offset = np.ones(n_classes), np.zeros(n_classes)
    if minority == "class_weights":
        weights = len(labels) / (np.count_nonzero(counts >= 1) * counts)
    elif minority == "logit_adjustment":
        offset = np.log(counts / counts.sum())
    return ClassEmphasis(weights.astype(np.float32), offset.astype(np.float32))


def training_shares(minority: str, n_classes: int) -> tuple[float, ...] | None:
    """The class shares that a trained network answers for.

    Returns:
        Equal ones, or None where the classes were left at their natural prevalence and nothing is to be corrected.
    """
    return None if minority == "none" else (1 / n_classes,) * n_classes
