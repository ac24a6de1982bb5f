"""Scores of probabilities taken at their word: Brier score, log loss, class-wise calibration error, and an endpoint's
calibration line; and the softmax.

As in `reports.metrics.auc`, the scores take case weights [resamples, n] and give one value a resample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reports.metrics.auc import Floats, ratio

ECE_BINS = 10
"""Bins of equal width from 0 to 1, right ends included in the last one only."""

_STEPS, _LARGEST_STEP = 100, 2.0
"""Of the fit of a calibration line: Newton's steps, and the most that one moves a coefficient."""


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


def calibration_line(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Calibration in the large, and the calibration slope, of an endpoint's probabilities (Cox, Biometrika 1958).

    The first is what has to be added to their log odds so that as many positives are expected as there are: 0 is right,
    below 0 they are too high. The second is the factor of a logistic regression on the log odds: 1 is right, below 1
    they are too sure. Both by maximum likelihood.

    Args:
        positive: bool [n].
        scores: Probability of being positive, float64 [n].
        weights: float64 [resamples, n].

    Returns:
        Each float64 [resamples]; NaN where a side has no weight. The slope also where all log odds are equal, or a
        threshold parts the sides, so that no finite one is the likeliest.
    """
    epsilon = np.finfo(np.float64).eps
    inside = np.clip(scores, epsilon, 1 - epsilon)
    odds = np.log(inside) - np.log1p(-inside)
    large = _logistic_fit(np.ones((1, len(odds))), odds, positive, weights)[:, 0]
    apart = _parted(positive, odds, weights)
    if apart.all():
        return large, np.full(len(weights), np.nan)
    spread = odds.std()
    design = np.stack([np.ones_like(odds), (odds - odds.mean()) / spread])
    slope = np.full(len(weights), np.nan)
    slope[~apart] = _logistic_fit(design, np.zeros_like(odds), positive, weights[~apart])[:, 1] / spread
    return large, slope


def _parted(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> NDArray[np.bool_]:
    """Whether a threshold parts the sides, cases upon it aside: then no finite slope is the likeliest [resamples]."""
    counted = weights > 0
    lowest, highest = (
        [reduced(np.where(counted & side, scores, beyond), axis=1) for side in (positive, ~positive)]
        for reduced, beyond in ((np.min, np.inf), (np.max, -np.inf))
    )
    return np.asarray((lowest[0] >= highest[1]) | (lowest[1] >= highest[0]))


def _logistic_fit(design: Floats, offset: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """Coefficients of a logistic regression under each row of weights, float64 [resamples, k]; NaN without a maximum.

    Args:
        design: float64 [k, n].
        offset: Added to the log odds, float64 [n].
        positive: bool [n].
        weights: float64 [resamples, n].
    """
    from scipy.special import expit

    total = weights.sum(axis=1)
    both = (weights @ positive > 0) & (weights @ ~positive > 0)
    found = np.full((len(weights), len(design)), np.nan)
    found[both] = 0.0
    left = np.flatnonzero(both)
    for _ in range(_STEPS):
        here = weights[left]
        expected = expit(found[left] @ design + offset)
        slopes = (here * (positive - expected)) @ design.T
        curvature = np.einsum("rn,kn,ln->rkl", here * expected * (1 - expected), design, design)
        curvature += 1e-12 * total[left, None, None] * np.eye(len(design))
        step = np.linalg.solve(curvature, slopes[..., np.newaxis])[..., 0]
        longest = np.abs(step).max(axis=1, keepdims=True)
        found[left] += step * np.minimum(1.0, _LARGEST_STEP / np.maximum(longest, _LARGEST_STEP))
        left = left[(longest[:, 0] > 1e-10) & (np.abs(slopes).max(axis=1) > 1e-13 * total[left])]
        if not len(left):
            return found
    found[left] = np.nan
    return found
