"""Metrics of the confusion matrix, for one weighting of the cases or for thousands at once.

A matrix holds true classes in rows and predicted classes in columns. All functions take matrices
float64 [resamples, classes, classes] and give NaN where a metric is not defined.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reports.metrics.auc import Floats, ratio


def confusion_matrices(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], n_classes: int, weights: Floats
) -> Floats:
    """Weighted confusion matrices.

    Args:
        labels: True class index, int64 [n].
        predicted: Predicted class index, int64 [n].
        n_classes: Number of classes.
        weights: Case weights, float64 [resamples, n].

    Returns:
        float64 [resamples, classes, classes]; rows are true classes.
    """
    cell = np.eye(n_classes * n_classes)[labels * n_classes + predicted]
    return (weights @ cell).reshape(-1, n_classes, n_classes)


def accuracy(matrices: Floats) -> Floats:
    """Share of the cases on the diagonal, [resamples]."""
    return ratio(np.trace(matrices, axis1=1, axis2=2), matrices.sum(axis=(1, 2)))


def recall(matrices: Floats) -> Floats:
    """Sensitivity of each class, [resamples, classes]."""
    return ratio(np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(axis=2))


def precision(matrices: Floats) -> Floats:
    """Positive predictive value of each class, [resamples, classes]; NaN for a class that is never predicted."""
    return ratio(np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(axis=1))


def specificity(matrices: Floats) -> Floats:
    """Share of the other classes' cases that are not given this class, [resamples, classes]."""
    true = np.diagonal(matrices, axis1=1, axis2=2)
    others = matrices.sum(axis=(1, 2))[:, None] - matrices.sum(axis=2)
    return ratio(others - (matrices.sum(axis=1) - true), others)


def f1(matrices: Floats) -> Floats:
    """2 TP / (2 TP + FP + FN) of each class, [resamples, classes]; NaN only without support and without predictions."""
    true = np.diagonal(matrices, axis1=1, axis2=2)
    return ratio(2 * true, matrices.sum(axis=1) + matrices.sum(axis=2))


def balanced_accuracy(matrices: Floats) -> Floats:
    """Mean recall over all classes, [resamples]; NaN where a class has no case, for then it is another metric."""
    return recall(matrices).mean(axis=1)


def matthews(matrices: Floats) -> Floats:
    """Multi-class Matthews correlation, [resamples] (Gorodkin, Comput Biol Chem 2004)."""
    true, called = matrices.sum(axis=2), matrices.sum(axis=1)
    total = matrices.sum(axis=(1, 2))
    covariance = np.trace(matrices, axis1=1, axis2=2) * total - (true * called).sum(axis=1)
    spread = (total**2 - (true**2).sum(axis=1)) * (total**2 - (called**2).sum(axis=1))
    return ratio(covariance, np.sqrt(spread))


def quadratic_kappa(matrices: Floats) -> Floats:
    """Cohen's kappa with squared distances between ordered classes, [resamples] (Cohen, Psychol Bull 1968)."""
    n_classes = matrices.shape[1]
    distance = np.subtract.outer(np.arange(n_classes), np.arange(n_classes)) ** 2.0
    chance = ratio(
        matrices.sum(axis=2)[:, :, None] * matrices.sum(axis=1)[:, None, :], matrices.sum(axis=(1, 2))[:, None, None]
    )
    return 1 - ratio((matrices * distance).sum(axis=(1, 2)), (chance * distance).sum(axis=(1, 2)))
