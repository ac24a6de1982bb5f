"""oof/RUN.npz: the validation logits of every epoch of a run.

Arrays: ``logits`` float32 [epochs, rows, classes]; ``epoch`` int32 [epochs], from 1, those trained in this run (its
parents' are in their own files); ``image`` and ``patient`` str [rows]; ``fold`` int32 [rows]; ``label`` int64 [rows].
Rows are the validation images of all folds, fold by fold. Calibration and operating points read nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reports.predictions import Predictions
from reports.trial_record import TrialRecord
from search.atomic_file import replacing
from search.cross_validation import FoldResult, softmax
from search.trial_data import TrialData


def write_out_of_fold(
    path: Path, data: TrialData, folds: Sequence[FoldResult], *, initial_epoch: int, epochs: int
) -> None:
    """Write the logits of one run."""
    rows = np.concatenate([data.folds[fold][1] for fold in range(len(folds))])
    with replacing(path) as temporary:
        np.savez(
            temporary,
            logits=np.concatenate([result.logits for result in folds], axis=1),
            epoch=np.arange(initial_epoch + 1, epochs + 1, dtype=np.int32),
            image=np.array(data.image_ids)[rows],
            patient=np.array(data.patient_ids)[rows],
            fold=np.concatenate(
                [np.full(len(data.folds[fold][1]), fold, dtype=np.int32) for fold in range(len(folds))]
            ),
            label=data.labels[rows],
        )


def read_out_of_fold(
    directory: Path, record: TrialRecord, records: Sequence[TrialRecord], class_names: Sequence[str]
) -> Predictions:
    """Out-of-fold predictions of a run at its best epoch.

    Args:
        directory: The folder ``oof`` of the search.
        record: The run; it has a best epoch.
        records: All runs, by their number: an epoch that a parent has trained is in the parent's file.
        class_names: Ordered class names.
    """
    epoch = record.best_epoch or record.epochs
    while epoch <= record.initial_epoch and record.parent is not None:
        record = records[record.parent]
    with np.load(directory / f"{record.run:04d}.npz", allow_pickle=False) as arrays:
        logits = arrays["logits"][arrays["epoch"].tolist().index(epoch)]
        return Predictions(
            image_ids=tuple(arrays["image"].tolist()),
            patient_ids=tuple(arrays["patient"].tolist()),
            labels=arrays["label"],
            probabilities=softmax(logits),
            class_names=tuple(class_names),
        )
