"""How fast the cached pipeline feeds, beside how fast the trunk of R50x1 consumes.

pytest -m slow tests/benchmarks/test_feed_rate.py -s
"""

from __future__ import annotations

import time

import numpy as np
import pytest

from mammo_data.preparation.settings import AugmentationSettings

SIDE = 448
BATCH = 8


@pytest.mark.slow
def test_the_pipeline_feeds_twenty_times_faster_than_the_trunk_consumes(capsys: pytest.CaptureFixture[str]) -> None:
    from mammo_data.training.pipeline import training_dataset, view_dataset
    from search.bit.architecture import R50X1
    from search.bit.weights import random_weights
    from search.boundary.trunk import frozen_trunk
    from search.machine.libraries import start_tensorflow

    start_tensorflow(deterministic=True)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64, SIDE, SIDE), dtype=np.uint8)
    names = tuple(f"mdb{number:03d}" for number in range(1, 65))
    labels = np.arange(64) % 3
    augmentation = AugmentationSettings()
    feeds = {
        "views for the banks": view_dataset(
            images, np.arange(64), np.full(64, 1), names, batch_size=BATCH, seed=0, augmentation=augmentation
        ),
        "training, balanced": training_dataset(
            images, labels, names, batch_size=BATCH, steps=8, seed=0, augmentation=augmentation, minority="balanced"
        ),
    }
    rates = {}
    for name, dataset in feeds.items():
        for _ in dataset:
            pass
        start = time.perf_counter()
        fed = sum(len(batch[0] if isinstance(batch, tuple) else batch) for batch in dataset)
        rates[name] = fed / (time.perf_counter() - start)
    trunk = frozen_trunk(R50X1, random_weights(R50X1, 0), image_size=SIDE, depths=(0, 1))
    batch = rng.uniform(-1, 1, (BATCH, SIDE, SIDE, 3)).astype(np.float32)
    trunk(batch)
    start = time.perf_counter()
    for _ in range(3):
        trunk(batch)
    consumed = 3 * BATCH / (time.perf_counter() - start)
    with capsys.disabled():
        print(f"\nat {SIDE} px the trunk takes {consumed:.1f} images/s")
        for name, rate in rates.items():
            print(f"{name}: {rate:.0f} images/s, {rate / consumed:.0f} times that")
    assert all(rate > 20 * consumed for rate in rates.values())
