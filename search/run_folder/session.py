"""The note of who is at work in a run's folder, and how the last one ended.

``.session.json``: ``pid``, ``host``, ``since`` (ISO 8601) of the process that works or worked last, ``waiting_for`` (in
words, "" where it waits for no other process), ``workers`` (by name what each worker process does, in words, where
there are any), where it ended in an exception ``ended`` (ISO 8601), ``error`` (one line) and ``interrupted`` (whether
the user ended it), and ``crc32`` (8 hex digits of the rest as JSON with sorted keys). A process that ended well takes
it away; one that was killed leaves it without ``ended``. Whether anybody is at work is not read from it: the lock says
that, and it ends with its process.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from reports.files import read_regular
from search.files.atomic import write_atomic
from search.run_folder.manifest import Count, Moment

SESSION = ".session.json"
_INTERRUPTED = 130
_CHECKSUM = "crc32"


@dataclass(frozen=True)
class Session:
    """A process at work in a run's folder.

    Attributes:
        pid: Its number on its host.
        host: The host's name.
        since: When it began, ISO 8601.
        waiting_for: The other process that it waits for, in words.
        workers: What each of its worker processes does, in words ("" for nothing), by its name.
        ended: When it ended in an exception, or None.
        error: What ended it, in one line.
        interrupted: Whether that was Ctrl-C or SIGTERM.
    """

    pid: Count
    host: str
    since: Moment
    waiting_for: str = ""
    workers: dict[str, str] = field(default_factory=dict)
    ended: Moment | None = None
    error: str | None = None
    interrupted: bool = False


def begin_session(folder: Path) -> Session:
    """Write down that this process is at work in a folder; it holds the lock."""
    session = Session(os.getpid(), platform.node(), _now())
    _write(folder, session)
    return session


def note_waiting(folder: Path, words: str) -> None:
    """Write down what this process waits for in a folder that it owns; "" for nothing."""
    _note(folder, waiting_for=words)


def note_workers(folder: Path, workers: Mapping[str, str]) -> None:
    """Write down what the worker processes of this process do, in words, by their names."""
    _note(folder, workers=dict(workers))


def _note(folder: Path, **changes: Any) -> None:
    session = read_session(folder)
    if session is not None and is_ours(session):
        with suppress(OSError):  # for people alone
            _write(folder, replace(session, **changes))


def end_session(folder: Path, session: Session, error: BaseException | None) -> None:
    """Write down how the process ended.

    Args:
        folder: The run's folder; nothing is written if it is gone, or another process has taken it.
        session: From `begin_session`.
        error: What ended it, None if it ended well.
    """
    there = read_session(folder)
    if not folder.is_dir() or (there is not None and not is_ours(there)):
        return
    if error is None:
        (folder / SESSION).unlink(missing_ok=True)
        return
    interrupted = isinstance(error, KeyboardInterrupt) or getattr(error, "exit_code", None) == _INTERRUPTED
    text = " ".join(str(error).split()) or type(error).__name__
    with suppress(OSError):  # a full disk has ended the run: that is what is to be told
        # As it stands there: how many workers it had is told of its resumption, too.
        _write(folder, replace(there or session, ended=_now(), error=text, interrupted=interrupted))


def is_ours(session: Session) -> bool:
    """Whether it is this process's."""
    return (session.pid, session.host) == (os.getpid(), platform.node())


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
