"""checkpoints/RUN/fold-K.safetensors: where a run stopped, for its promotion to go on from.

A file holds every variable of the tail, its optimizer and its random generator, and nothing of the frozen trunk.
safetensors carries arrays only, so that reading one can't run code; a checksum of all arrays (``crc32c`` in its
metadata) tells a damaged file, which counts as one that was not kept. Files are written by a thread while the next fold
trains; what can't be promoted any more is deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from search.atomic_file import replacing
from search.tail_trainer import State

_STATES_IN_FLIGHT = 2
_CHECKSUM = "crc32c"


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
        self._pending.append(self._writer.submit(_write, self._path(run, fold), state))

    def load(self, run: int, fold: int) -> State | None:
        """Read the state of one fold; None where it was not kept or is damaged."""
        from safetensors import SafetensorError, safe_open

        self.wait()
        try:
            with safe_open(self._path(run, fold), framework="numpy") as file:
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
                intact = (file.metadata() or {}).get(_CHECKSUM) == _checksum(state)
        except (OSError, SafetensorError):
            return None
        return state if intact else None

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


def _write(path: Path, state: State) -> None:
    from safetensors.numpy import save_file

    with replacing(path) as temporary:
        save_file(state, temporary, metadata={_CHECKSUM: _checksum(state)})


def _checksum(state: State) -> str:
    import google_crc32c

    total = 0
    for name in sorted(state):
        total = google_crc32c.extend(total, name.encode())
        total = google_crc32c.extend(total, np.ascontiguousarray(state[name]).tobytes())
    return f"{total:08x}"
