"""The lock of a run's folder, which has one owner at a time.

The lock is ``.lock`` (`mammo_data.locks`): it ends with the process that holds it, however that ends, so that none is
ever stale. On file systems that are shared between hosts it may not reach the other hosts. There the owner is known by
its pulse: it touches ``.session.json`` every few seconds.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mammo_data.locks import PATIENCE_SECONDS, Holder, Lock, LockHeldError, is_held
from mammo_data.waiting import note
from search.errors import RunError
from search.files.atomic import remove_leftovers
from search.run_folder.session import SESSION, Session, begin_session, end_session, is_ours, read_session
from search.text import printable

LOCK = ".lock"
PULSE_SECONDS = PATIENCE_SECONDS / 4
# Not at once: somebody who asks whether the run is in use holds the lock for a moment.
_LOCK_SECONDS = 0.5
_DELETED = ".deleted"


@contextmanager
def owned(
    folder: Path, *, patience: float = PATIENCE_SECONDS, say: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Keep every other process out of a run's folder, and clear away what killed ones have left half-written.

    A process that stood still for so long that one on another host took the folder is interrupted.

    Args:
        folder: The run's folder.
        patience: How long a process on another host may show no sign of life, in seconds.
        say: Told why it takes a while, where it does.

    Raises:
        RunError: If another process has it, on this host or on another one.
    """
    watched = _Watch(folder)
    with locked(folder, patience=patience):
        watched.require_no_other_host(patience=patience, say=say)
        remove_leftovers(folder)
        session = begin_session(folder)
        with _pulse(folder):
            try:
                yield
            except BaseException as error:
                end_session(folder, session, error)
                raise
            end_session(folder, session, None)


@contextmanager
def moved_away(folder: Path) -> Iterator[Path]:
    """Take a run's folder away under a hidden name, at once and as a whole, for the block to delete it.

    Deleted in place, a kill would leave a part that is neither a run nor nothing.

    Raises:
        RunError: If a process is at work in it.
    """
    for leftover in folder.parent.glob(f".{folder.name}-*{_DELETED}"):
        shutil.rmtree(leftover, ignore_errors=True)
    with locked(folder):
        require_no_other_host(folder)
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-", suffix=_DELETED))
        folder.rename(aside / folder.name)
        # Whoever waits for this lock gets one that no name leads to any more, and asks again.
        (aside / folder.name / LOCK).unlink()
    yield aside


def is_locked(folder: Path) -> bool:
    """Whether a process is at work in a folder; asking changes nothing, not even the lock file's time."""
    return is_held(folder / LOCK)


def is_abandoned(folder: Path) -> bool:
    """Whether the last process that worked in a folder is this one, or has written down its end."""
    session = read_session(folder)
    return session is None or session.ended is not None or is_ours(session)


def require_not_locked(folder: Path) -> None:
    """Refuse a folder that a process is at work in, as far as the lock tells.

    Raises:
        RunError: If there is one.
    """
    if is_locked(folder):
        raise _taken(folder, read_session(folder))


def require_no_other_host(
    folder: Path, *, patience: float = PATIENCE_SECONDS, say: Callable[[str], None] | None = None
) -> None:
    """Make sure that the last owner of a folder, where it was on another host, is gone.

    One that has not written down its end was killed, or is at work: the pulse tells. No two hosts' clocks are compared.

    Args:
        folder: The run's folder, locked by this process.
        patience: How long the pulse is waited for, in seconds.
        say: Told what is waited for.

    Raises:
        RunError: If it is at work.
    """
    _Watch(folder).require_no_other_host(patience=patience, say=say)


class _Watch:
    """A look at the pulse of a folder's last owner, from now on."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._before, self._began = folder, _modified(folder), time.monotonic()

    def require_no_other_host(self, *, patience: float, say: Callable[[str], None] | None) -> None:
        """See the function of that name."""
        session = read_session(self._folder)
        if session is None or session.ended is not None or session.host == platform.node():
            return
        end = self._began + patience
        if say is not None and time.monotonic() < end:
            owner = f"process {session.pid} on {printable(session.host)}"
            say(f"{owner} has not signed off here; waiting {patience:.0f} s for its pulse")
        while True:
            if _modified(self._folder) != self._before:
                raise _taken(self._folder, session)
            if time.monotonic() >= end:
                return
            time.sleep(min(0.2, patience / 10))


@contextmanager
def locked(folder: Path, *, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the lock of a run's folder, without a note of who is at work.

    Args:
        folder: The run's folder.
        patience: As for `owned`.

    Raises:
        RunError: If another process has it.
    """
    lock = Lock(folder / LOCK, "works in the same folder", patience=patience)
    try:
        lock.acquire(_LOCK_SECONDS)
    except LockHeldError as error:
        raise _taken(folder, read_session(folder), error.holder) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _pulse(folder: Path) -> Iterator[None]:
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(PULSE_SECONDS):
            there = read_session(folder)
            if there is not None and not is_ours(there):
                note(f"{folder} was taken by process {there.pid} on {printable(there.host)}: this one stood still")
                # A shell that begins something in the background has it ignore Ctrl-C.
                is_deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
                os.kill(os.getpid(), signal.SIGTERM if is_deaf else signal.SIGINT)
                return
            with suppress(OSError):  # whatever the disk has, the search will tell
                os.utime(folder / SESSION)

    thread = threading.Thread(target=beat, name="pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _modified(folder: Path) -> float | None:
    try:
        return (folder / SESSION).stat().st_mtime
    except OSError:
        return None


def _taken(folder: Path, session: Session | None, holder: Holder | None = None) -> RunError:
    who = "another one at work in it"
    if holder is not None and holder.pid:
        who += f", process {holder.pid} on {holder.host}"
    if session is not None and session.ended is None:
        where = "" if session.host == platform.node() else f" on {session.host}"
        who = f"another one at work in it, process {session.pid}{where}, since {session.since}"
    return RunError(
        expected=f"{folder} for one process alone",
        found=who,
        remedy="Wait for it, end it, or choose another --name.",
    )
