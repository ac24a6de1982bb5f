"""The simulated example, drawn once for all tests of the reports."""

from __future__ import annotations

import pytest

from reports.page.run_summary import RunSummary
from tests.support.example import example_summary, without_pictures


@pytest.fixture(scope="session")
def embedding(tmp_path_factory: pytest.TempPathFactory) -> RunSummary:
    """A run that puts pictures into its report."""
    return example_summary(tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="session")
def summary(embedding: RunSummary) -> RunSummary:
    """The same, as a run is by default."""
    return without_pictures(embedding)
