"""checkpoints/RUN/fold-K.safetensors: where a run stopped, for its promotion to go on from.

A file holds every variable of the tail, its optimizer and its random generator, and nothing of the frozen trunk.
safetensors carries arrays only, so that reading one can't run code; a damaged file (see `tensor_file`) counts as one
that was not kept. Files are written by a thread while the next fold trains; what can't be promoted any more is deleted.

in_flight/: the folds that the run in progress has finished, so that an interrupted run goes on at the next one.

``fold-K.npz`` holds ``logits`` float32 [epochs, images, classes], one float64 array [epochs] a curve, named
``curve/NAME``, and ``key``, the text that names run and assignment (with the checksum of `tensor_file`). What is
damaged or carries another run's key does not count: the fold is trained again, to the same bits.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from search.files.tensors import load_checked_npz, load_checked_safetensors, save_checked_npz, save_checked_safetensors
from search.plan.execution import Assignment
from search.trials.cross_validation import FoldResult
from search.trials.tail import State

_STATES_IN_FLIGHT = 2
_CURVE = "curve/"


class CheckpointStore:
    """The checkpoints of one search.

    Args:
        directory: Its ``checkpoints`` folder.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoints")
        self._pending: list[Future[None]] = []

    def save(self, run: int, fold: int, state: State) -> None:
        """Write the state of one fold in the background; the arrays must not change any more.

        Raises:
            OSError: If an earlier write failed.
        """
        # A slow disk must not pile up states in memory: beyond a few the training waits.
        while len(self._pending) >= _STATES_IN_FLIGHT:
            self._pending.pop(0).result()
        self._pending.append(self._writer.submit(self._write, self._path(run, fold), state))

    def load(self, run: int, fold: int) -> State | None:
        """Read the state of one fold; None where it was not kept or is damaged."""
        self.wait()
        return load_checked_safetensors(self._path(run, fold))

    def wait(self) -> None:
        """Return when everything is on the disk.

        Raises:
            OSError: If a write failed.
        """
        while self._pending:
            self._pending.pop(0).result()

    def keep_only(self, runs: Collection[int]) -> None:
        """Delete the checkpoints of all other runs."""
        self.wait()
        kept = {self._folder(run).name for run in runs}
        if self.directory.is_dir():
            for folder in self.directory.iterdir():
                if folder.is_dir() and folder.name not in kept:
                    shutil.rmtree(folder)

    def close(self) -> None:
        """Wait for the writes and end the thread."""
        self.wait()
        self._writer.shutdown()

    def _folder(self, run: int) -> Path:
        return self.directory / f"{run:04d}"

    def _path(self, run: int, fold: int) -> Path:
        return self._folder(run) / f"fold-{fold}.safetensors"

    def _write(self, path: Path, state: State) -> None:
        # One level: where the search's folder has vanished, it must not come back with this alone in it.
        self.directory.mkdir(exist_ok=True)
        save_checked_safetensors(path, state)


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
