"""What all tests share: where the real data are, a small phantom, and one finished run on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A gate must give the same answer twice; the search for new counterexamples is a developer's, without CI set.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")

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
    from mammo_data.phantom import write_phantom

    return write_phantom(tmp_path_factory.mktemp("phantom") / "images", patients=32, seed=1, image_size=128)
