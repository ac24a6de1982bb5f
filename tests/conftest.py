"""What all tests share: where the real data are, a small phantom, and one finished run on it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from search.machine.environment import settle_libraries
from search.machine.libraries import start_tensorflow
from search.text import UV_RUN

# Before any test's module imports TensorFlow: the programs that tests start have the same.
settle_libraries()

# A gate must give the same answer twice; the search for new counterexamples is a developer's, without CI set.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")

# A shell starts what it puts into the background without Ctrl-C, and programs that the tests interrupt inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Commands that are shown begin with `uv run` where that has started the program; here they are compared as they are.
os.environ.pop(UV_RUN, None)

ROOT = Path(__file__).parents[1]


def shared(variable: str, folder: str) -> Path:
    """A folder of facts that the project does not carry; the test skips, by name, where it is absent."""
    path = Path(os.environ.get(variable, ROOT.parent / "shared" / folder))
    if not path.exists():
        pytest.skip(f"{path} is absent; set {variable}")
    return path


@pytest.fixture(scope="session")
def mias_archive() -> Path:
    return shared("MAMMO_SEARCH_MIAS", "mias") / "all-mias.tar.gz"


@pytest.fixture(scope="session")
def phantom(tmp_path_factory) -> Path:
    from mammo_data import write_phantom

    return write_phantom(tmp_path_factory.mktemp("phantom") / "images", patients=32, seed=1, image_size=128)


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
    from search.bit.architecture import SMALL
    from search.bit.weights import random_weights
    from search.boundary.values import BoundaryBank
    from search.trials.data import TrainingSettings, TrialData

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


@pytest.fixture(scope="session")
def finished(phantom, tmp_path_factory, tensorflow_started):
    """A configuration and the result of its run, "first". A test that changes something copies the folder."""
    from search.job import Job
    from search.protocols.run import run_job
    from tests.support.tiny import tiny_config

    config = tiny_config(phantom, tmp_path_factory.mktemp("work"))
    return config, run_job(Job(config, name="first"))
