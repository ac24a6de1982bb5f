"""What tests of the backbone share: weights of known features, the far side of the internet, a module it serves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.bit_stand_in import TINY, stand_in_arrays, write_archive, write_saved_model
from tests.support.loopback_server import Server, running_server
from tests.support.official_features import recipe_weights


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture(scope="session")
def recipe() -> dict[str, np.ndarray]:
    """R50x1's weights that the official features were computed with; not to be changed."""
    return recipe_weights()


@pytest.fixture(scope="session")
def tiny_arrays() -> dict[str, np.ndarray]:
    return stand_in_arrays(TINY)


@pytest.fixture(scope="session")
def tiny_module(tmp_path_factory) -> Path:
    """A SavedModel's folder."""
    return write_saved_model(tmp_path_factory.mktemp("module") / "tiny", TINY)


@pytest.fixture(scope="session")
def tiny_archive(tiny_module, tmp_path_factory) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive") / "tiny.tar.gz", tiny_module)


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """Lets nvidia-smi say something, or fail."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def say(text, code=0):
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\nexit {code}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return say
