"""The real archive, where it is present; it never leaves the test's own temporary folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mammo_data import write_phantom

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def mias_archive() -> Path:
    folder = Path(os.environ.get("MAMMO_SEARCH_MIAS", REPOSITORY.parent / "shared" / "mias"))
    archive = folder / "all-mias.tar.gz"
    if not archive.is_file():
        pytest.skip(f"the real MIAS archive is absent: {archive}")
    return archive


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 women on small films; read only."""
    return write_phantom(tmp_path_factory.mktemp("phantom") / "images", patients=24, image_size=256)
