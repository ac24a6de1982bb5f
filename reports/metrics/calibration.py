"""Scores of probabilities taken at their word: Brier score, log loss, class-wise calibration error; and the softmax.

As in `reports.metrics.auc`, the scores take case weights [resamples, n] and give one value a resample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reports.metrics.auc import Floats, ratio

ECE_BINS = 10
"""Bins of equal width from 0 to 1, right ends included in the last one only."""


def softmax(logits: ArrayLike) -> Floats:
    """Softmax over the last axis, without overflow, in float64 whatever the logits' type."""
    scores = np.asarray(logits, np.float64)
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def brier(labels: NDArray[np.int64], probabilities: Floats, weights: Floats) -> Floats:
    """Mean over the cases of Σ_c (p_c − y_c)², 0 to 2 (Brier, 1950); float64 [resamples].

    Args:
        labels: int64 [n].
        probabilities: float64 [n, classes].
        weights: float64 [resamples, n].
    """
    truth = np.eye(probabilities.shape[1])[labels]
    return ratio(weights @ ((probabilities - truth) ** 2).sum(axis=1), weights.sum(axis=1))


def log_loss(labels: NDArray[np.int64], probabilities: Floats, weights: Floats) -> Floats:
    """Mean of −ln p(true class), in nats, p clipped to float64's epsilon; float64 [resamples]."""
    epsilon = np.finfo(np.float64).eps
    given = np.clip(probabilities[np.arange(len(labels)), labels], epsilon, 1 - epsilon)
    return ratio(weights @ -np.log(given), weights.sum(axis=1))


def classwise_ece(labels: NDArray[np.int64], probabilities: Floats, weights: Floats) -> Floats:
    """Expected calibration error averaged over the classes, 0 to 1 (Kull et al., NeurIPS 2019); float64 [resamples].

    Args:
        labels: int64 [n].
        probabilities: float64 [n, classes].
        weights: float64 [resamples, n].
    """
    n_classes = probabilities.shape[1]
    total = np.zeros(len(weights))
    for index in range(n_classes):
        column = probabilities[:, index]
        member = np.eye(ECE_BINS)[np.clip((column * ECE_BINS).astype(np.int64), 0, ECE_BINS - 1)]
        # |observed − mean predicted| · bin weight is |Σ w (y − p)| of the bin: no division, so no empty bin to mind.
        total += np.abs(weights @ (member * ((labels == index) - column)[:, None])).sum(axis=1)
    return ratio(total, n_classes * weights.sum(axis=1))
