"""When a search with ``search.max_minutes`` starts no further run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from reports.trial_record import TrialRecord


@dataclass(frozen=True)
class TimeBound:
    """Bounds of a search; without any it goes on to the end of its plan.

    Attributes:
        deadline: ``time.monotonic()`` after which no run is started but the first: without it there is nothing to
            retrain.
        runs: How many runs the search had when it ended, if it has ended before. What follows a search must not
            change it: the held-out patients may have been read since.
    """

    deadline: float | None = None
    runs: int | None = None

    def is_reached(self, started: int) -> bool:
        """Whether a search that has started so many runs starts no other."""
        if self.runs is not None:
            return started >= self.runs
        return started > 0 and self.deadline is not None and time.monotonic() > self.deadline


def time_bound(minutes: float | None, finished: Sequence[TrialRecord], *, runs: int | None = None) -> TimeBound:
    """The bound of a search that begins or goes on.

    Args:
        minutes: ``search.max_minutes``.
        finished: Runs of an earlier part; the time that they took is spent.
        runs: How many there were when the search ended, if it has.
    """
    if minutes is None:
        return TimeBound(runs=runs)
    return TimeBound(time.monotonic() + 60 * minutes - sum(record.seconds for record in finished), runs)
