"""The lock of a run's folder, which has one owner at a time, and the note of who that is.

The lock is the operating system's (``.lock``, flock): it ends with the process that holds it, however that ends, so
that none is ever stale. On file systems that are shared between hosts it may not reach the other hosts. There the owner
is known by its pulse: it touches ``.session.json`` every few seconds.

``.session.json`` in the folder: ``pid``, ``host``, ``since`` (ISO 8601) of the process that works or worked last, where
it ended in an exception ``ended`` (ISO 8601), ``error`` (one line) and ``interrupted`` (whether the user ended it), and
``crc32`` (8 hex digits of the rest as JSON with sorted keys). A process that ended well takes it away; one that was
killed leaves it without ``ended``. Whether anybody is at work is not read from it: the lock says that, and it ends with
its process.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import platform
import shutil
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from reports.files import read_regular
from search.errors import RunError
from search.files.atomic import remove_leftovers, write_atomic
from search.run_folder.manifest import Count, Moment
from search.text import printable

LOCK = ".lock"
PULSE_SECONDS = 5.0
_PATIENCE_SECONDS = 4 * PULSE_SECONDS
# Not at once: somebody who asks whether the run is in use holds the lock for a moment.
_LOCK_SECONDS = 0.5
_DELETED = ".deleted"
SESSION = ".session.json"
_INTERRUPTED = 130
_CHECKSUM = "crc32"


@contextmanager
def owned(
    folder: Path, *, patience: float = _PATIENCE_SECONDS, say: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Keep every other process out of a run's folder, and clear away what killed ones have left half-written.

    Args:
        folder: The run's folder.
        patience: How long a process on another host may show no sign of life, in seconds.
        say: Told why it takes a while, where it does.

    Raises:
        RunError: If another process has it, on this host or on another one.
    """
    with _locked(folder):
        require_no_other_host(folder, patience=patience, say=say)
        remove_leftovers(folder)
        session = begin_session(folder)
        with _pulse(folder / SESSION):
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
    with _locked(folder):
        require_no_other_host(folder)
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-", suffix=_DELETED))
        folder.rename(aside / folder.name)
        # Whoever waits for this lock gets one that no name leads to any more, and asks again.
        (aside / folder.name / LOCK).unlink()
    yield aside


def is_locked(folder: Path) -> bool:
    """Whether a process of this host is at work in a folder; asking changes nothing, not even the lock file's time."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def require_not_locked(folder: Path) -> None:
    """Refuse a folder that a process of this host is at work in.

    Raises:
        RunError: If there is one.
    """
    if is_locked(folder):
        raise _taken(folder, read_session(folder))


def require_no_other_host(
    folder: Path, *, patience: float = _PATIENCE_SECONDS, say: Callable[[str], None] | None = None
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
    session = read_session(folder)
    if session is None or session.ended is not None or session.host == platform.node():
        return
    if say is not None:
        owner = f"process {session.pid} on {printable(session.host)}"
        say(f"{owner} has not signed off here; waiting {patience:.0f} s for its pulse")
    before, end = _modified(folder), time.monotonic() + patience
    while time.monotonic() < end:
        time.sleep(min(0.2, patience / 10))
        if _modified(folder) != before:
            raise _taken(folder, session)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / LOCK, timeout=_LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise _taken(folder, read_session(folder)) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _pulse(file: Path) -> Iterator[None]:
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(PULSE_SECONDS):
            with suppress(OSError):  # whatever the disk has, the search will tell
                os.utime(file)

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


def _taken(folder: Path, session: Session | None) -> RunError:
    who = "another one at work in it"
    if session is not None and session.ended is None:
        where = "" if session.host == platform.node() else f" on {session.host}"
        who = f"another one at work in it, process {session.pid}{where}, since {session.since}"
    return RunError(
        expected=f"{folder} for one process alone",
        found=who,
        remedy="Wait for it, end it, or choose another --name.",
    )


@dataclass(frozen=True)
class Session:
    """A process at work in a run's folder.

    Attributes:
        pid: Its number on its host.
        host: The host's name.
        since: When it began, ISO 8601.
        ended: When it ended in an exception, or None.
        error: What ended it, in one line.
        interrupted: Whether that was Ctrl-C or SIGTERM.
    """

    pid: Count
    host: str
    since: Moment
    ended: Moment | None = None
    error: str | None = None
    interrupted: bool = False


def begin_session(folder: Path) -> Session:
    """Write down that this process is at work in a folder; it holds the lock."""
    session = Session(os.getpid(), platform.node(), _now())
    _write(folder, session)
    return session


def end_session(folder: Path, session: Session, error: BaseException | None) -> None:
    """Write down how the process ended.

    Args:
        folder: The run's folder; nothing is written if it is gone.
        session: From `begin_session`.
        error: What ended it, None if it ended well.
    """
    if not folder.is_dir():
        return
    if error is None:
        (folder / SESSION).unlink(missing_ok=True)
        return
    interrupted = isinstance(error, KeyboardInterrupt) or getattr(error, "exit_code", None) == _INTERRUPTED
    text = " ".join(str(error).split()) or type(error).__name__
    with suppress(OSError):  # a full disk has ended the run: that is what is to be told
        _write(folder, Session(session.pid, session.host, session.since, _now(), text, interrupted))


def read_session(folder: Path) -> Session | None:
    """The last session, None where it ended well or nothing readable is there."""
    try:
        values = json.loads(read_regular(folder / SESSION))
        written = values.pop(_CHECKSUM)
        return TypeAdapter(Session).validate_python(values) if written == _checksum(values) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _write(folder: Path, session: Session) -> None:
    values = asdict(session)
    write_atomic(folder / SESSION, json.dumps({**values, _CHECKSUM: _checksum(values)}) + "\n")


def _checksum(values: dict[str, object]) -> str:
    return f"{zlib.crc32(json.dumps(values, sort_keys=True).encode()):08x}"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
