"""Ctrl-C and SIGTERM: stop where nothing is half-written, and say how to go on."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from search.errors import UserError
from search.program_name import program
from search.run_directory import RunDirectory


class InterruptedRunError(UserError):
    """The user, or the system, has ended a run."""

    exit_code = 130


def command_to_resume(argv: Sequence[str]) -> str:
    """The command line that goes on with what one began, as it is typed.

    Args:
        argv: The words behind the program's name.
    """
    return f"{program()} {shlex.join(word for word in argv if word != '--fresh')}"


@contextmanager
def interruptible(directory: RunDirectory, argv: Sequence[str]) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM inside the block into one line that says how to resume.

    Args:
        directory: The run's folder; it is deleted if nothing had begun.
        argv: The command line, to be typed again.

    Raises:
        InterruptedRunError: If one of them came.
    """
    previous = None
    if threading.current_thread() is threading.main_thread():
        previous = signal.signal(signal.SIGTERM, _as_ctrl_c)
    try:
        yield
    except KeyboardInterrupt:
        directory.remove_if_unstarted()
        command = command_to_resume(argv)
        kept = f"what is finished is kept in {directory.path}" if directory.path.exists() else "nothing had begun"
        interrupted = InterruptedRunError(expected="to finish", found="an interruption", remedy=command)
        interrupted.args = (f"interrupted; {kept}. The same command goes on: {command}",)
        raise interrupted from None
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _as_ctrl_c(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
