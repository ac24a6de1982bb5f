"""Ctrl-C, SIGTERM and a lost terminal: stop where nothing is half-written, and say how to go on."""

from __future__ import annotations

import shlex
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from search.errors import InterruptionError
from search.run_folder.directory import RunDirectory
from search.text import program

_PATIENCE_SECONDS = 3.0
_INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ONCE = ("--fresh", "--accept-device")
"""Words of a command that are not to be typed again: what they do is done."""


def command_to_resume(argv: Sequence[str]) -> str:
    """The command line that goes on with what one began, as it is typed.

    Args:
        argv: The words behind the program's name.
    """
    return f"{program()} {shlex.join(word for word in argv if word not in _ONCE)}"


@contextmanager
def interruptible(directory: RunDirectory, argv: Sequence[str]) -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and SIGHUP inside the block into one line that says how to resume.

    Args:
        directory: The run's folder; whatever ends the block, it is deleted if nothing had begun.
        argv: The command line, to be typed again.

    Raises:
        InterruptionError: If one of them came.
    """
    try:
        yield
    except KeyboardInterrupt:
        directory.abandon()
        command = command_to_resume(argv)
        kept = f"what is finished is kept in {directory.path}" if directory.path.exists() else "nothing had begun"
        raise InterruptionError(f"interrupted; {kept}. The same command goes on: {command}") from None
    except BaseException:
        directory.abandon()
        raise


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Let the first Ctrl-C, SIGTERM or SIGHUP inside the block be a KeyboardInterrupt, and later ones nothing.

    People type Ctrl-C twice. The second one must not break into what the first one has begun to end: the write in
    progress, the terminal, the note of who was at work. Should the first have been lost in some library, one that comes
    a few seconds later counts again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = -_PATIENCE_SECONDS

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        if time.monotonic() - heard >= _PATIENCE_SECONDS:
            heard = time.monotonic()
            raise KeyboardInterrupt

    previous = {number: signal.getsignal(number) for number in _INTERRUPTIONS}
    for number, handler in previous.items():
        if handler is not signal.SIG_IGN:  # nohup, or a shell's background job: somebody wants it to be ignored
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            # None: not set by Python, and not to be set again by it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let what interrupts the block interrupt its end, so that it is done wholly or not at all; for short blocks."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    previous = {number: signal.getsignal(number) for number in _INTERRUPTIONS}
    ours = {number: handler for number, handler in previous.items() if callable(handler)}
    try:
        for number in ours:
            signal.signal(number, lambda number, frame: came.append(number))
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        if came:
            ours[signal.Signals(came[0])](came[0], None)


def ignore_interruptions() -> None:
    """For a process that has said its last word: at its end Python waits for threads, and shows what disturbs it."""
    for number in _INTERRUPTIONS:
        signal.signal(number, signal.SIG_IGN)
