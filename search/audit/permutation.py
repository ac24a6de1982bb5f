"""The label-permutation control: what the same procedure scores when the labels mean nothing.

Labels are shuffled between women and a linear model is cross-validated on the frozen backbone's pooled features, in all
folds of the split. The mean over the shuffles has to be chance: what lifts it is a leak, for a woman (or an augmented
copy of her image) on both sides of a fold can be recognised, whatever her label is. And the true labels have to stand
out of the shuffled ones, or there is nothing to be found (Ojala and Garriga, JMLR 2010, their first test).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.metrics.table import macro_ovr_auc

PERMUTATIONS = 100
STATISTIC = "macro one-vs-rest AUC of a ridge classifier on frozen features, mean over patient-grouped folds"

RIDGE = 1000.0
"""Penalty; features outnumber images, and a weaker one interpolates the training fold."""


@dataclass(frozen=True)
class PermutationTest:
    """True labels against shuffled ones.

    Attributes:
        observed: The score on the true labels.
        null: The score of each shuffle.
    """

    observed: float
    null: tuple[float, ...]

    @property
    def p_value(self) -> float:
        """(1 + shuffles that score at least as high) / (1 + shuffles): never 0, as the truth is one arrangement too."""
        return float((1 + np.count_nonzero(np.asarray(self.null) >= self.observed)) / (1 + len(self.null)))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        lower, upper = np.quantile(self.null, (0.025, 0.975)).tolist()
        return {
            "statistic": STATISTIC,
            "observed": self.observed,
            "null_mean": float(np.mean(self.null)),
            "null_sd": float(np.std(self.null)),
            "null_lower": lower,
            "null_upper": upper,
            "permutations": len(self.null),
            "p_value": self.p_value,
        }


def permutation_test(
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    patient_ids: Sequence[str],
    *,
    folds: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    n_classes: int,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> PermutationTest | None:
    """Carry out the control.

    As only labels change, each fold's ridge regression is one matrix for all shuffles.

    Args:
        features: [n, channels], of development images.
        labels: Class index of each, int64 [n].
        patient_ids: Patient of each, n.
        folds: (training, validation) rows of each fold of the search.
        n_classes: Number of classes.
        permutations: Number of shuffles.
        seed: Of the shuffles.

    Returns:
        The test, or None where no fold has what a score needs.
    """
    rng = np.random.default_rng(seed)
    _, patients = np.unique(np.array(patient_ids), return_inverse=True)
    models = [
        _ridge(np.asarray(features, np.float64), training, validation)
        for training, validation in folds
        if len(training) and len(validation)
    ]
    observed = _score(models, labels, n_classes)
    shuffled = np.array(
        [_score(models, _between_patients(labels, patients, rng), n_classes) for _ in range(permutations)]
    )
    null = tuple(shuffled[np.isfinite(shuffled)].tolist())
    return PermutationTest(observed, null) if np.isfinite(observed) and len(null) else None


_Ridge = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""Training and validation rows of a fold, and from the ones' targets to the others' scores, [validation, training]."""


def _ridge(features: NDArray[np.float64], training: NDArray[np.int64], validation: NDArray[np.int64]) -> _Ridge:
    mean, spread = features[training].mean(axis=0), features[training].std(axis=0)
    scaled = (features - mean) / np.where(spread > 0, spread, 1.0)
    known, asked = scaled[training], scaled[validation]
    # In the dual, as there are more channels than images; the intercept is the mean of the targets.
    kernel = known @ known.T + RIDGE * np.eye(len(known))
    centred = np.linalg.solve(kernel, known @ asked.T).T
    smoother = centred + (1 - centred.sum(axis=1, keepdims=True)) / len(known)
    return training, validation, smoother


def _score(models: list[_Ridge], labels: NDArray[np.int64], n_classes: int) -> float:
    """Mean over the folds that define it; scores of two folds' models are never ranked against each other."""
    targets = np.eye(n_classes)[labels]
    scores = [macro_ovr_auc(labels[asked], smoother @ targets[known]) for known, asked, smoother in models]
    defined = [score for score in scores if np.isfinite(score)]
    return float(np.mean(defined)) if defined else float("nan")


def _between_patients(
    labels: NDArray[np.int64], patients: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Each woman's labels given to another; where women differ in their number of images, laid end to end."""
    by_patient = np.argsort(patients, kind="stable")
    parts = np.split(labels[by_patient], np.flatnonzero(np.diff(patients[by_patient])) + 1)
    shuffled = np.empty_like(labels)
    shuffled[by_patient] = np.concatenate([parts[position] for position in rng.permutation(len(parts))])
    return shuffled
