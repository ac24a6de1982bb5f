"""What a later run pays for its weights: reading the stored file, its fingerprint and the published checksums.

Run: uv run pytest -m slow -s tests/benchmarks/test_weights_load.py
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from search.bit.architecture import R50X1
from search.bit.resolve import backbone_weights
from search.bit.weights import random_weights, write_stored


def fastest(function: Callable[[], object], repeats: int = 5) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


@pytest.mark.slow
def test_the_stored_file_costs_little_more_than_reading_and_hashing_its_bytes(tmp_path: Path):
    path = tmp_path / "bit.safetensors"
    write_stored(path, random_weights(R50X1, 1), R50X1)
    loading = fastest(lambda: backbone_weights("bit-m-r50x1", str(path)))
    hashing = fastest(lambda: hashlib.sha256(path.read_bytes()).hexdigest())
    print(f"load, fingerprint, 151 checksums: {loading:.2f} s; read and SHA-256 alone: {hashing:.2f} s")
    assert loading < 4 * hashing
