"""How fast films become predictions, beside how fast the trunk of R50x1 runs by itself.

    pytest -m slow tests/benchmarks/test_prediction_rate.py -s

Both are measured on the same machine one after the other: the trunk on pixels in memory, in the batches of `predict`;
`predict` from the archive to the last row, with random weights. Opening the model and tracing it are outside.
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

SIDE = 224


@pytest.mark.slow
@pytest.mark.mias
def test_films_are_predicted_at_four_fifths_of_the_trunk_s_own_speed(
    mias_archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not mias_archive.is_file():
        pytest.skip(f"{mias_archive} is absent")
    from mammo_data.sources.image_files import image_files
    from search.bit.architecture import R50X1
    from search.bit.weights import random_weights
    from search.boundary.trunk import frozen_trunk
    from search.export.metadata import ModelFile
    from search.export.model import BATCH, ExportedModel
    from search.machine.libraries import start_tensorflow
    from search.predict.films import predict_files
    from tests.support.untrained import write_untrained

    start_tensorflow(deterministic=False)
    path, metadata = write_untrained(R50X1, SIDE, tmp_path)
    model = ExportedModel(ModelFile(path, metadata, None))
    model.probabilities(np.zeros((BATCH, SIDE, SIDE), np.uint8))
    trunk = frozen_trunk(R50X1, random_weights(R50X1, 0), image_size=SIDE, depths=(0,))
    pixels = np.random.default_rng(0).uniform(-1, 1, (BATCH, SIDE, SIDE, 3)).astype(np.float32)
    trunk(pixels)

    def trunk_rate(batches: int) -> float:
        start = time.perf_counter()
        for _ in range(batches):
            trunk(pixels)
        return batches * BATCH / (time.perf_counter() - start)

    # Half of it before and half after, so that a machine that changes its speed does not decide.
    before = trunk_rate(12)
    start = time.perf_counter()
    rows = [row for batch in predict_files(model, islice(image_files([mias_archive]), 322)) for row in batch]
    seconds = time.perf_counter() - start
    consumed = (before + trunk_rate(12)) / 2
    rate = len(rows) / seconds
    with capsys.disabled():
        print(f"\n{len(rows)} films at {SIDE} px in {seconds:.1f} s: {rate:.1f} images/s")
        print(f"the trunk alone: {consumed:.1f} images/s; {rate / consumed:.0%} of it")
    assert len(rows) == 322
    assert not [row for row in rows if row.error]
    assert rate >= 0.8 * consumed
