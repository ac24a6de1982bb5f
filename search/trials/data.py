"""Data of a search's trials: banks, labels and folds of the development patients, nothing else, and what classes weigh.

A macro AUC has no value in a fold that lacks a class, and a search averages over the folds that have one. Where none
has, every trial would be trained to its end and then have no score; the labels say so before anything is computed.

One choice of minority handling acts at one place: the balanced sampler draws (``mammo_data.training.sampling``), class
weights and logit adjustment change the loss (`class_emphasis`), and in all three the network learns to answer for a
world in which the classes are equally frequent. `training_shares` says so to whoever corrects the probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammo_data import CaseTable, DataError, PreparedSet, Split
from mammo_data.splits import fold_positions
from search.boundary.values import BoundaryBank, BoundaryValues

_UNSEEN = 0.5
"""Stands for the count of a class without a training image, which no logarithm and no division could take."""


@dataclass(frozen=True)
class TrialData:
    """Development data of a search.

    Attributes:
        banks: Boundary bank of each unfreeze depth in use.
        labels: Class index of each development image, int64 [images].
        image_ids: Name of each.
        patient_ids: Patient of each.
        class_names: Ordered class names.
        folds: (training, validation) positions among the development images of each fold that trials use; patients
            are on one side of each.
    """

    banks: Mapping[int, BoundaryBank]
    labels: NDArray[np.int64]
    image_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    class_names: tuple[str, ...]
    folds: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]


@dataclass(frozen=True)
class TrainingSettings:
    """What is constant over the trials of a search.

    Attributes:
        seed: Seed of the search.
        batch_size: Images a step.
        steps_per_epoch: Optimizer steps an epoch.
        full_epochs: Epochs of the full budget; schedules are functions of it.
        schedule: Learning-rate schedule, see `search.trials.schedule`.
        head_init: Start of the head's last layer, "glorot" or "zeros".
        backbone_lr_factor: Factor on the learning rate of the unfrozen backbone variables.
        most_backbone_rate: Their peak learning rate at most, whatever the head's.
        minority: How rare classes are handled, see `mammo_data.training.sampling` and `class_emphasis`.
    """

    seed: int
    batch_size: int
    steps_per_epoch: int
    full_epochs: int
    schedule: str = "cosine"
    minority: str = "balanced"
    head_init: str = "zeros"
    backbone_lr_factor: float = 1.0
    most_backbone_rate: float = math.inf

    def backbone_rate(self, learning_rate: float) -> float:
        """Peak learning rate of the unfrozen backbone where the head's is ``learning_rate``."""
        return min(self.backbone_lr_factor * learning_rate, self.most_backbone_rate)


def development_data(
    values: Mapping[int, BoundaryValues], offsets: NDArray[np.int64], prepared: PreparedSet, split: Split, *, folds: int
) -> TrialData:
    """What the trials of a search read.

    Args:
        values: Boundary values of the development patients' views, by unfreeze depth.
        offsets: Position of each development image's view 0, and the total, int64 [images + 1].
        prepared: All prepared images.
        split: Which patients are held out, and the folds of the others.
        folds: How many of the split's folds trials use.
    """
    table = prepared.table.take(split.development_rows(prepared.table))
    return TrialData(
        banks={depth: BoundaryBank(depth, array, offsets) for depth, array in values.items()},
        labels=table.labels,
        image_ids=table.image_ids,
        patient_ids=table.patient_ids,
        class_names=table.class_names,
        folds=fold_positions(prepared.table, split)[:folds],
    )


def require_scorable(table: CaseTable, split: Split, *, folds: int) -> None:
    """See that the objective will be defined.

    Args:
        table: The images or crops of a search; only patients and labels are looked at.
        split: Which patients are held out, and the folds of the others.
        folds: How many of the split's folds trials use.

    Raises:
        DataError: If each of these lacks a class among its validation patients.
    """
    missing = [_missing(table, split, fold) for fold in range(len(split.folds))]
    if not all(missing[:folds]):
        return
    enough = next((number for number, names in enumerate(missing, start=1) if not names), None)
    more = [] if enough is None else [f"use more folds with --folds {enough}"]
    if len(split.folds) > 2:
        more.append("deal into fewer parts with a smaller split.folds")
    remedy = ", or ".join([*more, "use data with more patients of that class"])
    used = missing[:folds]
    found = "; ".join(
        f"no {' and no '.join(names)} in fold {', '.join(str(n) for n, each in enumerate(used, 1) if each == names)}"
        for names in dict.fromkeys(used)
    )
    raise DataError(
        expected="a fold whose validation patients are of every class, or no trial of the search has a score",
        found=f"{found or 'no fold'} (of {len(split.folds)}, {len(used)} in use)",
        remedy=f"{remedy[0].upper()}{remedy[1:]}.",
    )


def _missing(table: CaseTable, split: Split, fold: int) -> tuple[str, ...]:
    """Classes without an image on the validation side of a fold."""
    _, validation = split.fold_rows(table, fold)
    counts = np.bincount(table.labels[validation], minlength=len(table.class_names))
    return tuple(name for name, count in zip(table.class_names, counts, strict=True) if not count)


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
