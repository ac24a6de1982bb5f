"""What a search tells whoever shows it."""

from __future__ import annotations

from typing import Protocol

from reports.trial_record import TrialRecord
from search.plan.execution import Assignment
from search.plan.space import Configuration


class SearchListener(Protocol):
    """Whoever shows the search."""

    def run_begins(self, run: int, assignment: Assignment, configuration: Configuration) -> None:
        """A run starts."""

    def epoch_ended(self, run: int, fold: int, epoch: int) -> None:
        """One fold of a run has trained one more epoch."""

    def run_ended(self, record: TrialRecord) -> None:
        """A run is finished and recorded."""
