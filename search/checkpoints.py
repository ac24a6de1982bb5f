"""checkpoints/RUN/fold-K.safetensors: where a run stopped, for its promotion to go on from.

A file holds every variable of the tail, its optimizer and its random generator, and nothing of the frozen trunk.
safetensors carries arrays only, so that reading one can't run code. What can't be promoted any more is deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from search.atomic_file import replacing
from search.tail_trainer import State


class CheckpointStore:
    """The checkpoints of one search.

    Args:
        directory: Its ``checkpoints`` folder.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def save(self, run: int, fold: int, state: State) -> None:
        """Write the state of one fold."""
        from safetensors.numpy import save_file

        with replacing(self._path(run, fold)) as temporary:
            save_file(state, temporary)

    def load(self, run: int, fold: int) -> State:
        """Read the state of one fold."""
        from safetensors.numpy import load_file

        return load_file(self._path(run, fold))

    def keep_only(self, runs: Collection[int]) -> None:
        """Delete the checkpoints of all other runs."""
        kept = {self._folder(run).name for run in runs}
        if self.directory.is_dir():
            for folder in self.directory.iterdir():
                if folder.is_dir() and folder.name not in kept:
                    shutil.rmtree(folder)

    def _folder(self, run: int) -> Path:
        return self.directory / f"{run:04d}"

    def _path(self, run: int, fold: int) -> Path:
        return self._folder(run) / f"fold-{fold}.safetensors"
