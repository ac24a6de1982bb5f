"""In-process executor: one work after the other, in this process, in the order in which they are submitted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from search.trials.worker import Work, Worker


class InProcessExecutor:
    """An executor that works when it is asked for a result.

    Args:
        worker: What this process holds.
    """

    workers = 1

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._waiting: deque[tuple[Work, Callable[[int], None]]] = deque()

    @property
    def has_room(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def submit(self, work: Work, on_epoch: Callable[[int], None], urgency: float = 0.0) -> None:
        """Put it behind what waits, however urgent it is."""
        self._waiting.append((work, on_epoch))

    def next_result(self) -> tuple[Work, Any]:
        """Carry out what has waited for longest."""
        work, on_epoch = self._waiting.popleft()
        return work, self._worker.carry_out(work, on_epoch)

    def cancel(self, unwanted: Callable[[Work], bool]) -> None:
        """Drop what is not wanted any more."""
        self._waiting = deque(each for each in self._waiting if not unwanted(each[0]))

    def at_work(self) -> Mapping[str, Work]:
        """Nothing: nobody else is at work."""
        return {}

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
