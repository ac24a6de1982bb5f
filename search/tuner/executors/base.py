"""Executor: what is asked of whoever trains; nobody minds where that is, nor in which order results come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from search.trials.worker import Work

Key = TypeVar("Key")


class Executor(Protocol):
    """Carries out what a worker can be given, here or elsewhere.

    A worker that is lost is the executor's affair: it gives the work to another one, and gives it up after some losses.
    Leaving the ``with`` block ends what is under way: in an orderly manner unless an exception is.
    """

    @property
    def workers(self) -> int:
        """How many works are carried out at a time."""

    @property
    def has_room(self) -> bool:
        """Whether it wants to choose from more works than wait."""

    def submit(self, work: Work, on_epoch: Callable[[int], None], urgency: float = 0.0) -> None:
        """Take some work.

        Args:
            work: The work.
            on_epoch: Called from `next_result` with the number of each epoch that has ended.
            urgency: Seconds on the longest way that begins with it; of equally urgent works the first is preferred.
        """

    def next_result(self) -> tuple[Work, Any]:
        """Wait for the result of one of the works submitted, any of them; its files are on the disk after `flush`.

        Raises:
            UserError: As the work; so do DataError and OSError.
        """

    def cancel(self, unwanted: Callable[[Work], bool]) -> None:
        """Drop some of what waits; a result of one under way may come all the same."""

    def at_work(self) -> Mapping[str, Work]:
        """What each worker has, by the worker's name; nothing where this process does all."""

    def flush(self) -> None:
        """Return when the files of all results that were given out are on the disk.

        Raises:
            OSError: If one can't be written.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def carry_out(executor: Executor, works: Sequence[Work]) -> list[Any]:
    """Results of some works in their order, while nothing else is submitted."""
    results = dict(carried_out(executor, dict(enumerate(works)), lambda number, epoch: None))
    return [results[number] for number in range(len(works))]


def carried_out(
    executor: Executor, works: Mapping[Key, Work], on_epoch: Callable[[Key, int], None]
) -> Iterator[tuple[Key, Any]]:
    """Results of some works as they come, with their keys, while nothing else is submitted.

    Args:
        executor: Who carries them out.
        works: No two are the same.
        on_epoch: Called with the key and the number of each epoch that has ended.
    """
    keys = {work: key for key, work in works.items()}
    for key, work in works.items():
        executor.submit(work, lambda epoch, key=key: on_epoch(key, epoch))  # type: ignore[misc]
    for _ in works:
        work, result = executor.next_result()
        yield keys[work], result
