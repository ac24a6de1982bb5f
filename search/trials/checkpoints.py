"""checkpoints/RUN/fold-K.safetensors: where a run stopped, for its promotion to go on from.

A file holds every variable of the tail, its optimizer and its random generator, and nothing of the frozen trunk.
safetensors carries arrays only, so that reading one can't run code; a damaged file (see `tensor_file`) counts as one
that was not kept. Files are written by a thread while the next fold trains; what can't be promoted any more is deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from search.files.tensors import load_checked_safetensors, save_checked_safetensors
from search.trials.tail import State

_STATES_IN_FLIGHT = 2


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
