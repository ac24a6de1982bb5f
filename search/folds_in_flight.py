"""in_flight/: the folds that the run in progress has finished, so that an interrupted run goes on at the next one.

``fold-K.npz`` holds ``logits`` float32 [epochs, images, classes], one float64 array [epochs] a curve, named
``curve/NAME``, and ``key``, the text that names run and assignment (with the checksum of `tensor_file`). What is
damaged or carries another run's key does not count: the fold is trained again, to the same bits.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from search.files.tensors import load_checked_npz, save_checked_npz
from search.plan.execution import Assignment
from search.trials.cross_validation import FoldResult

_CURVE = "curve/"


class FoldsInFlight:
    """Finished folds of the run in progress.

    Args:
        directory: The ``in_flight`` folder of the run.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, run: int, assignment: Assignment, fold: int, result: FoldResult) -> None:
        """Keep a finished fold."""
        arrays: dict[str, Any] = {_CURVE + name: np.array(curve) for name, curve in result.curves.items()}
        arrays |= {"key": np.array(_key(run, assignment)), "logits": result.logits}
        save_checked_npz(self._path(fold), arrays)

    def load(self, run: int, assignment: Assignment, fold: int) -> FoldResult | None:
        """A fold that an interrupted attempt at this very run has finished, or None."""
        arrays = load_checked_npz(self._path(fold))
        if arrays is None or str(arrays["key"]) != _key(run, assignment):
            return None
        curves = {
            name.removeprefix(_CURVE): tuple(float(value) for value in values)
            for name, values in arrays.items()
            if name.startswith(_CURVE)
        }
        return FoldResult(curves, arrays["logits"])

    def clear(self) -> None:
        """Forget all folds."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _path(self, fold: int) -> Path:
        return self._directory / f"fold-{fold}.npz"


def _key(run: int, assignment: Assignment) -> str:
    return f"{run} {assignment}"
