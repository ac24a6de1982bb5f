"""Out-of-fold logits: oof/TRIAL.npz holds those of every epoch of a trial.

Arrays: ``logits`` float32 [epochs, rows, classes]; ``epoch`` int32 [epochs], from 1, those trained in this trial (its
parents' are in their own files); ``image`` and ``patient`` str [rows]; ``fold`` int32 [rows]; ``label`` int64 [rows].
Rows are the validation images of all folds, fold by fold. Calibration and operating points read nothing else. A damaged
file is told by its checksum (see `search.files.tensors`); its trial is trained again when the search is resumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reports import Predictions, TrialRecord, softmax
from search.errors import RunError
from search.files.tensors import Arrays, load_checked_npz, save_checked_npz

if TYPE_CHECKING:  # these files are read where TensorFlow is not needed
    from search.trials.cross_validation import FoldResult
    from search.trials.data import TrialData


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold predictions of one trial.

    Attributes:
        predictions: Of each validation image, fold by fold.
        folds: The fold that each was validated in, from 0, int32 [images].
    """

    predictions: Predictions
    folds: NDArray[np.int32]


def out_of_fold_file(directory: Path, trial: int) -> Path:
    """Where a trial's logits lie under the folder ``oof``."""
    return directory / f"{trial:04d}.npz"


def write_out_of_fold(directory: Path, data: TrialData, record: TrialRecord, folds: Sequence[FoldResult]) -> None:
    """Write the logits of one trial."""
    rows = _rows(data)
    arrays = {
        "logits": np.concatenate([result.logits for result in folds], axis=1),
        "epoch": np.arange(record.initial_epoch + 1, record.epochs + 1, dtype=np.int32),
        "image": np.array(data.image_ids)[rows],
        "patient": np.array(data.patient_ids)[rows],
        "fold": np.concatenate(
            [np.full(len(validation), fold, dtype=np.int32) for fold, (_, validation) in enumerate(data.folds)]
        ),
        "label": data.labels[rows],
    }
    save_checked_npz(out_of_fold_file(directory, record.trial), arrays)


def is_intact(directory: Path, data: TrialData, record: TrialRecord) -> bool:
    """Whether a trial's file is what `write_out_of_fold` writes for it on these data."""
    arrays = load_checked_npz(out_of_fold_file(directory, record.trial))
    return (
        arrays is not None
        and arrays["image"].tolist() == np.array(data.image_ids)[_rows(data)].tolist()
        and arrays["epoch"].tolist() == list(range(record.initial_epoch + 1, record.epochs + 1))
    )


def read_out_of_fold(
    directory: Path, record: TrialRecord, records: Sequence[TrialRecord], class_names: Sequence[str]
) -> OutOfFold:
    """Out-of-fold predictions of a trial at the epoch that it is scored by.

    Args:
        directory: The folder ``oof`` of the search.
        record: The trial, completed.
        records: All trials: an epoch that a parent has trained is in the parent's file.
        class_names: Ordered class names.

    Raises:
        RunError: If the file is missing or damaged.
    """
    epoch = record.objective_epoch
    arrays = _written(directory, next(each for each in _lineage(record, records) if each.initial_epoch < epoch))
    predictions = Predictions(
        image_ids=tuple(arrays["image"].tolist()),
        patient_ids=tuple(arrays["patient"].tolist()),
        labels=arrays["label"],
        probabilities=softmax(arrays["logits"][arrays["epoch"].tolist().index(epoch)]),
        class_names=tuple(class_names),
    )
    return OutOfFold(predictions, arrays["fold"])


def _lineage(record: TrialRecord, records: Sequence[TrialRecord]) -> Iterator[TrialRecord]:
    """The trial, its parent, and so on up to one of the first rung."""
    by_number = {each.trial: each for each in records}
    yield record
    while record.parent is not None:
        record = by_number[record.parent]
        yield record


def _written(directory: Path, record: TrialRecord) -> Arrays:
    path = out_of_fold_file(directory, record.trial)
    arrays = load_checked_npz(path)
    if arrays is None:
        raise RunError(
            expected="the out-of-fold logits as they were written",
            found=f"{path}, missing or damaged",
            remedy="If the run is unfinished, the same command trains that part again; else restore the file.",
        )
    return arrays


def _rows(data: TrialData) -> NDArray[np.int64]:
    return np.concatenate([validation for _, validation in data.folds])
