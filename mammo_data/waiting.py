"""Waiting for other processes: who is told of it, and when.

One listener a process hears of all its locks, so that no lock has to be handed a screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SAID_AFTER_SECONDS = 1.0
"""How long somebody waits before it is said."""


@dataclass(frozen=True)
class Listener:
    """Who hears of this process's locks.

    Attributes:
        name: What this process is called where others wait for it.
        waits: Told what it waits for, in words, a second after it began to; "" when that is over.
        notes: Told once of each folder that has no locks.
    """

    name: str = ""
    waits: Callable[[str], None] = lambda text: None
    notes: Callable[[str], None] = lambda text: None


_listener = Listener()


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Tell somebody of all locks that this process takes or waits for inside the block."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


def listener() -> Listener:
    """Who hears of them now."""
    return _listener


def note(words: str) -> None:
    """Tell the listener something that others' locks are the cause of."""
    _listener.notes(words)


class Wait:
    """One waiting: says after a second what for, and when it is over.

    Args:
        holder: Gives who is waited for; its text is what is said.
        timeout: Seconds after which it is over while the holder is alive; None for never.
    """

    def __init__(self, holder: Callable[[], object], timeout: float | None) -> None:
        self._holder, self._timeout, self._began, self._said = holder, timeout, time.monotonic(), False

    def is_over(self, *, alive: bool) -> bool:
        """Whether to give up on a holder that is, or is not, alive; says what for when it is time."""
        waited = time.monotonic() - self._began
        if waited >= SAID_AFTER_SECONDS and not self._said:
            self._said = True
            _listener.waits(f"waiting for {self._holder()}")
        return alive and self._timeout is not None and waited >= self._timeout

    def end(self) -> None:
        """Say that it is over, where it was said that it had begun."""
        if self._said:
            _listener.waits("")
