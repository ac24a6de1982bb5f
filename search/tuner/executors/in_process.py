"""In-process executor: one fold after the other, in this process, in the order in which they are submitted."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Self

from search.trials.cross_validation import FoldResult
from search.trials.worker import FoldWork, Worker, train_fold


class InProcessExecutor:
    """An executor that trains a fold when it is asked for a result.

    Args:
        worker: What this process holds.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._waiting: deque[FoldWork] = deque()

    @property
    def has_room(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def submit(self, work: FoldWork) -> None:
        """Put a fold behind those that wait."""
        self._waiting.append(work)

    def next_result(self) -> tuple[FoldWork, FoldResult]:
        """Train the fold that has waited for longest."""
        work = self._waiting.popleft()
        return work, train_fold(work, self._worker)

    def cancel(self, trial: int, *, after: int) -> None:
        """Drop the later folds of a trial."""
        self._waiting = deque(work for work in self._waiting if work.assignment.trial != trial or work.fold <= after)

    def flush(self) -> None:
        """Wait for the checkpoints' thread."""
        self._worker.checkpoints.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._worker.checkpoints.close()
