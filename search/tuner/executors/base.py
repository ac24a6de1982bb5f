"""Executor: what the tuner asks of whoever trains folds; the tuner minds neither where that is nor in which order."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from search.trials.cross_validation import FoldResult
from search.trials.worker import FoldWork


class Executor(Protocol):
    """Trains folds with `search.trials.worker.train_fold`, here or elsewhere.

    A worker that is lost is the executor's affair: it gives the fold to another one, and after some losses a result
    with a failure. Leaving the ``with`` block ends all workers, in an orderly way unless an exception is under way.
    """

    @property
    def has_room(self) -> bool:
        """Whether the folds of one more trial would be begun before others have ended."""

    def submit(self, work: FoldWork) -> None:
        """Take a fold; those that come first are preferred."""

    def next_result(self) -> tuple[FoldWork, FoldResult]:
        """Wait for one of the folds submitted, any of them; its files are on the disk after `flush`.

        Raises:
            UserError: As `train_fold`; so do DataError and OSError.
        """

    def cancel(self, trial: int, *, after: int) -> None:
        """Drop the folds of a trial behind one that has failed; a result of one in training may come all the same."""

    def flush(self) -> None:
        """Return when the files of all results that were given out are on the disk.

        Raises:
            OSError: If one can't be written.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def carry_out(executor: Executor, works: Sequence[FoldWork]) -> list[FoldResult]:
    """Results of some folds in their order, while nothing else is submitted."""
    for work in works:
        executor.submit(work)
    results = dict(executor.next_result() for _ in works)
    return [results[work] for work in works]
