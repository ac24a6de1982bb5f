"""Parts that several tests of the engine share: one small backbone and a learnable bank for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from search.environment import start_tensorflow


@dataclass(frozen=True)
class Engine:
    """A small backbone with synthetic boundary banks."""

    architecture: object
    weights: object
    data: object
    settings: object


@pytest.fixture(scope="session")
def tensorflow_started():
    start_tensorflow(deterministic=True)


@pytest.fixture(scope="session")
def engine(tensorflow_started) -> Engine:
    from search.bit_architecture import SMALL
    from search.bit_weights import random_weights
    from search.boundary_cache import BoundaryBank
    from search.trial_data import TrainingSettings, TrialData

    rng = np.random.default_rng(0)
    images, views = 60, 3
    labels = np.arange(images) % 3
    offsets = np.arange(images + 1) * views
    banks = {}
    for depth in (0, 1):
        shape = SMALL.boundary_shape(depth, (48, 48))
        signal = np.repeat(labels, views).reshape(-1, *(1 for _ in shape)) * np.linspace(0, 0.5, shape[-1])
        values = rng.normal(size=(images * views, *shape)) + signal
        banks[depth] = BoundaryBank(depth, values.astype(np.float32 if depth == 0 else np.float16), offsets)
    names = tuple(f"mdb{number:03d}" for number in range(1, images + 1))
    part = np.arange(images) // 6 % 4
    folds = tuple((np.flatnonzero(part != fold), np.flatnonzero(part == fold)) for fold in range(2))
    data = TrialData(
        banks=banks,
        labels=labels,
        image_ids=names,
        patient_ids=tuple(f"p{number // 2:03d}" for number in range(images)),
        class_names=("normal", "benign", "malignant"),
        folds=folds,
    )
    settings = TrainingSettings(seed=0, batch_size=8, steps_per_epoch=4, full_epochs=9)
    return Engine(SMALL, random_weights(SMALL, 0), data, settings)
