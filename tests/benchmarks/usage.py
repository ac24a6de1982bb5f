"""Memory and disk that a block of a benchmark takes, and how fast the machine is at the moment."""

from __future__ import annotations

import threading
import time
from functools import cache
from pathlib import Path
from typing import Any


class Usage:
    """Peaks of anonymous memory and of a folder's size, while the block runs.

    Args:
        folder: The folder; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory = 0
        self.disk = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Usage:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.memory = max(self.memory, anonymous_memory())
            self.disk = max(self.disk, folder_size(self.folder))
            if self._stop.wait(0.2):
                return


def anonymous_memory() -> int:
    """Bytes of anonymous memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no RssAnon in /proc/self/status")


def folder_size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # a checkpoint that was just pruned
            continue
    return total


@cache
def _matrix(dtype: str) -> Any:
    import numpy as np
    import tensorflow as tf

    return tf.cast(np.random.default_rng(0).normal(size=(2048, 2048)), dtype)


def matrix_product_rate(dtype: str = "float32") -> float:
    """Operations a second of one product of 2048 × 2048 matrices, in TensorFlow."""
    import tensorflow as tf

    matrix = _matrix(dtype)
    start = time.perf_counter()
    tf.matmul(matrix, matrix).numpy()
    return 2 * 2048**3 / (time.perf_counter() - start)


class ProductRates:
    """Rates of matrix products, measured between the runs of a search.

    Args:
        dtype: Of the matrices.

    Attributes:
        rates: Operations a second.
        seconds: What the measurements took; no part of the search.
    """

    def __init__(self, dtype: str = "float32") -> None:
        self._dtype = dtype
        self.rates: list[float] = []
        self.seconds = 0.0

    def measure(self) -> None:
        start = time.perf_counter()
        self.rates += [matrix_product_rate(self._dtype) for _ in range(3)]
        self.seconds += time.perf_counter() - start
