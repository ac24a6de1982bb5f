"""Checkpoints: what trials leave on the disk to go on from.

``checkpoints/TRIAL/fold-K.safetensors`` is where a trial stopped: every variable of the tail, its optimizer and its
random generator, and nothing of the frozen trunk. A promotion goes on from it, and the fold models of the winner are
read from it. Files are written by a thread while the next fold trains; what can't be promoted any more and does not
lead is deleted, and all when the run is complete. Of a trial at the full budget, whose folds' states would take more
than `MOST_LEADER_BYTES`, none are kept: its fold models are trained again, to the same bits.

``in_flight/TRIAL/fold-K.npz`` is a finished fold of a trial that is not in trials.jsonl yet, so that an interrupted
search goes on at the next one: ``logits`` float32 [epochs, images, classes], one float64 array [epochs] a curve, named
``curve/NAME``, and ``key``, the text of the trial's assignment.

What is damaged (both kinds carry a checksum, see `search.files.tensors`) or of another trial counts as not kept.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.files.tensors import load_checked_npz, load_checked_safetensors, save_checked_npz, save_checked_safetensors
from search.plan.execution import Assignment
from search.trials.cross_validation import FoldResult
from search.trials.tail import State

MOST_LEADER_BYTES = 2 * 10**9
"""Bytes of all folds of a trial at the full budget; five of R50x1, trained whole with momentum, take half."""
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

    def save(self, trial: int, fold: int, state: State) -> None:
        """Write the state of one fold in the background; the arrays must not change any more.

        Raises:
            OSError: If an earlier write failed.
        """
        # A slow disk must not pile up states in memory: beyond a few the training waits.
        while len(self._pending) >= _STATES_IN_FLIGHT:
            self._pending.pop(0).result()
        self._pending.append(self._writer.submit(self._write, _path(self.directory, trial, fold), state))

    def load(self, trial: int, fold: int) -> State | None:
        """Read the state of one fold; None where it was not kept or is damaged."""
        self.wait()
        return load_state(self.directory, trial, fold)

    def wait(self) -> None:
        """Return when everything is on the disk.

        Raises:
            OSError: If a write failed.
        """
        while self._pending:
            self._pending.pop(0).result()

    def close(self) -> None:
        """Wait for the writes and end the thread."""
        self.wait()
        self._writer.shutdown()

    def _write(self, path: Path, state: State) -> None:
        # One level: where the search's folder has vanished, it must not come back with this alone in it.
        self.directory.mkdir(exist_ok=True)
        save_checked_safetensors(path, state)


def load_state(directory: Path, trial: int, fold: int) -> State | None:
    """The state of one fold in a ``checkpoints`` folder; None where it was not kept or is damaged."""
    return load_checked_safetensors(_path(directory, trial, fold))


def _path(directory: Path, trial: int, fold: int) -> Path:
    return directory / f"{trial:04d}" / f"fold-{fold}.safetensors"


def keep_only(directory: Path, trials: Collection[int]) -> None:
    """Delete the checkpoints of all other trials; nothing may be on its way to the disk."""
    kept = {f"{trial:04d}" for trial in trials}
    for folder in directory.glob("*/"):
        if folder.name not in kept:
            shutil.rmtree(folder)


@dataclass(frozen=True)
class FoldsInFlight:
    """Finished folds of trials that are not recorded yet.

    Attributes:
        directory: The ``in_flight`` folder of the run.
    """

    directory: Path

    @property
    def trials(self) -> frozenset[int]:
        """Those that have a folder."""
        return frozenset(int(folder.name) for folder in self.directory.glob("*/") if folder.name.isdecimal())

    def save(self, assignment: Assignment, fold: int, result: FoldResult) -> None:
        """Keep a finished fold."""
        self.directory.mkdir(exist_ok=True)  # not its parents: no run goes on in the ruins of its folder
        arrays: dict[str, Any] = {_CURVE + name: np.array(curve) for name, curve in result.curves.items()}
        save_checked_npz(
            self._path(assignment, fold), arrays | {"key": np.array(str(assignment)), "logits": result.logits}
        )

    def load(self, assignment: Assignment, fold: int) -> FoldResult | None:
        """A fold that an interrupted attempt at this very trial has finished, or None."""
        arrays = load_checked_npz(self._path(assignment, fold))
        if arrays is None or str(arrays["key"]) != str(assignment):
            return None
        found = {name.removeprefix(_CURVE): tuple(arrays[name].tolist()) for name in arrays if name.startswith(_CURVE)}
        return FoldResult(found, arrays["logits"])

    def forget(self, trial: int) -> None:
        """Delete the folds of a trial that is recorded."""
        shutil.rmtree(self.directory / f"{trial:04d}", ignore_errors=True)

    def _path(self, assignment: Assignment, fold: int) -> Path:
        return self.directory / f"{assignment.trial:04d}" / f"fold-{fold}.npz"
