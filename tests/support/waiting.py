"""Somebody else's lock, given back when who waits for it says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mammo_data.locks import Lock
from mammo_data.waiting import Listener, heard_by


@contextmanager
def held_until_it_is_said(file: Path, then: Callable[[], object] = lambda: None) -> Iterator[list[str]]:
    """Hold a lock inside the block.

    Args:
        file: The lock's file.
        then: Called before it is given back, for what its holder leaves.

    Yields:
        What is said of the waiting.
    """
    lock, said = Lock(file, "does it first"), []

    def hear(words: str) -> None:
        said.append(words)
        if words:
            then()
            lock.release()

    lock.acquire()
    try:
        with heard_by(Listener("run other", waits=hear)):
            yield said
    finally:
        lock.release()
