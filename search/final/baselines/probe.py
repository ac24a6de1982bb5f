"""The linear probe: a multinomial logistic regression on what the frozen backbone says of the stored views.

It is fitted on all views of its training images, an image's views sharing its weight, with the classes balanced where
the search's sampler balances them. Its one strength, C, is chosen by patient-grouped folds inside the training part,
and its scaler is fitted there as well: nothing of the validation patients has a say.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mammo_data import CaseTable, patient_split
from mammo_data.splits import fold_positions
from reports import softmax
from reports.metrics.table import macro_ovr_auc
from search.bit.weights import fingerprint_of
from search.files.tensors import Arrays
from search.trials.data import class_emphasis

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""C of scikit-learn's: the larger, the weaker the penalty. On scaled features, weights that sum to the images."""
INNER_FOLDS = 3
_BALANCED = ("balanced", "class_weights")
"""Choices of minority handling that the probe follows with class weights; the others it leaves at their prevalence."""


@dataclass(frozen=True)
class ProbeData:
    """What a probe is fitted on.

    Attributes:
        features: Of all stored views, float32 [views, channels].
        offsets: Position of each image's view 0, and the total, int64 [images + 1].
        table: The images.
        minority: How rare classes are handled.
        seed: Of the inner folds.
    """

    features: NDArray[np.float32]
    offsets: NDArray[np.int64]
    table: CaseTable
    minority: str
    seed: int

    @property
    def is_balanced(self) -> bool:
        """Whether the probe answers for a world in which the classes are equally frequent."""
        return self.minority in _BALANCED

    def images(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """View 0 of some images, the only one that is validated on, float32 [len(rows), channels]."""
        return self.features[self.offsets[rows]]


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe.

    Attributes:
        mean: Subtracted from each channel, float64 [channels].
        scale: By which it is divided then.
        kernel: float64 [channels, classes].
        bias: float64 [classes], −∞ for a class that the training images lack.
        strength: The chosen C.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    kernel: NDArray[np.float64]
    bias: NDArray[np.float64]
    strength: float

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Class probabilities, float64 [n, classes], of pooled features [n, channels]."""
        return softmax((features - self.mean) / self.scale @ self.kernel + self.bias)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of what was fitted."""
        return fingerprint_of({name: np.asarray(value) for name, value in vars(self).items()})


def pack(probe: LinearProbe) -> Arrays:
    """The arrays of a probe."""
    return {name: np.asarray(value) for name, value in vars(probe).items()}


def unpack(arrays: Arrays) -> LinearProbe:
    """The probe of `pack`'s arrays.

    Raises:
        KeyError: If one is missing.
    """
    fitted = {name: arrays[name] for name in ("mean", "scale", "kernel", "bias")}
    return LinearProbe(**fitted, strength=float(arrays["strength"]))


def inner_parts(
    data: ProbeData, rows: NDArray[np.int64], *, share: float = 1.0
) -> tuple[NDArray[np.int64], tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]]:
    """The images that a probe is fitted on, and the folds that choose its strength.

    Args:
        data: All images.
        rows: The training part, int64 [n].
        share: Part of its patients that is taken, spread over the classes as the patients are; those of a smaller share
            are among those of a larger one.

    Returns:
        Rows of the images, and (training, validation) rows of each inner fold; a patient is on one side of each.

    Raises:
        DataError: If so few patients are left that they can't be dealt into inner folds.
    """
    # Sides that the source names are of patients to hold out from a search, not from a part of its training images.
    table = replace(data.table, cases=tuple(replace(data.table.cases[row], side="") for row in rows))
    # One draw for both: who is "held out" by it is left aside.
    folds = min(INNER_FOLDS, max(2, int(share * len(set(table.patient_ids)))))
    split = patient_split(table, test_fraction=1 - share, folds=folds, seed=data.seed)
    used = rows[split.development_rows(table)]
    return used, tuple((used[training], used[validation]) for training, validation in fold_positions(table, split))


def fit_probe(
    data: ProbeData, rows: NDArray[np.int64], *, share: float = 1.0, strength: float | None = None
) -> LinearProbe:
    """Fit a probe on some images, or on a share of their patients.

    Args:
        data: All images.
        rows: The training part, int64 [n].
        share: See `inner_parts`.
        strength: C, instead of choosing it.

    Raises:
        DataError: If so few patients are left that they can't be dealt into inner folds.
    """
    used, folds = inner_parts(data, rows, share=share)
    # On one thread: many small products, which are the same bits then whatever else the machine does.
    with threadpool_limits(1):
        (probe,) = _path(data, used, (_best_strength(data, folds) if strength is None else strength,))
    return probe


def _best_strength(data: ProbeData, folds: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> float:
    """The one of the largest mean macro AUC over the folds that define it, of equal ones the strongest penalty."""
    scores = np.full((len(folds), len(STRENGTHS)), np.nan)
    for fold, (training, validation) in enumerate(folds):
        images, labels = data.images(validation), data.table.labels[validation]
        for position, probe in enumerate(_path(data, training, STRENGTHS)):
            scores[fold, position] = macro_ovr_auc(labels, probe.probabilities(images))
    return STRENGTHS[int(np.ma.masked_invalid(scores).mean(axis=0).filled(-np.inf).argmax())]


def _path(data: ProbeData, rows: NDArray[np.int64], strengths: tuple[float, ...]) -> list[LinearProbe]:
    """A probe for each strength, from the strongest penalty to the weakest."""
    n_classes, labels, counts = len(data.table.class_names), data.table.labels[rows], np.diff(data.offsets)[rows]
    views = np.concatenate([np.arange(data.offsets[row], data.offsets[row + 1]) for row in rows])
    weights = 1 / counts
    if data.is_balanced:
        weights = weights * class_emphasis("class_weights", labels, n_classes).weights[labels]
    weights, truth = np.repeat(weights, counts), np.repeat(labels, counts)
    scaler = StandardScaler().fit(data.features[views].astype(np.float64), sample_weight=weights)
    scaled, basis = scaler.transform(data.features[views].astype(np.float64)), None
    if scaled.shape[1] > len(scaled):
        # The penalty is the same in every direction: the problem in the views' own span has the same solution.
        basis, _ = np.linalg.qr(scaled.T)
        scaled = scaled @ basis
    model, classes, found = LogisticRegression(warm_start=True, max_iter=500), np.unique(labels), []
    for strength in strengths:
        kernel, bias = np.zeros((data.features.shape[1], n_classes)), np.full(n_classes, -np.inf)
        bias[classes] = 0.0
        if len(classes) > 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.set_params(C=strength).fit(scaled, truth, sample_weight=weights)
            # Of two classes scikit-learn has the second one's logit alone.
            known = classes if len(classes) > 2 else classes[1:]
            kernel[:, known] = model.coef_.T if basis is None else basis @ model.coef_.T
            bias[known] = model.intercept_
        found.append(LinearProbe(scaler.mean_, scaler.scale_, kernel, bias, strength))
    return found
