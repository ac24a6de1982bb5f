"""in_flight/: the folds that the run in progress has finished, so that an interrupted run goes on at the next one.

``fold-K.npz`` holds ``logits`` float32 [epochs, images, classes], one float64 array [epochs] a curve, named
``curve/NAME``, and ``key``, the text that names run and assignment. Whatever does not carry the present run's key is
what another run left, and is deleted.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from search.atomic_file import replacing
from search.cross_validation import FoldResult
from search.plan_execution import Assignment

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
        with replacing(self._path(fold)) as temporary:
            np.savez(temporary, **arrays)

    def load(self, run: int, assignment: Assignment, fold: int) -> FoldResult | None:
        """A fold that an interrupted attempt at this very run has finished, or None."""
        path = self._path(fold)
        if not path.is_file():
            return None
        try:
            # Opened here: numpy would leave a damaged file open.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                if str(file["key"]) != _key(run, assignment):
                    return None
                curves = {
                    name.removeprefix(_CURVE): tuple(float(value) for value in file[name])
                    for name in file.files
                    if name.startswith(_CURVE)
                }
                return FoldResult(curves, file["logits"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # damaged: the fold is trained again, to the same bits

    def clear(self) -> None:
        """Forget all folds."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _path(self, fold: int) -> Path:
        return self._directory / f"fold-{fold}.npz"


def _key(run: int, assignment: Assignment) -> str:
    return f"{run} {assignment}"
