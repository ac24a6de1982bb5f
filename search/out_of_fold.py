"""oof/RUN.npz: the validation logits of every epoch of a run.

Arrays: ``logits`` float32 [epochs, rows, classes]; ``epoch`` int32 [epochs], from 1, those trained in this run (its
parents' are in their own files); ``image`` and ``patient`` str [rows]; ``fold`` int32 [rows]; ``label`` int64 [rows].
Rows are the validation images of all folds, fold by fold. Calibration and operating points read nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from search.atomic_file import replacing
from search.cross_validation import FoldResult
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
