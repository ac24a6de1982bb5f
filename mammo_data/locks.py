"""Locks between processes, on file systems that have them and on those that don't, and the words for who waits.

A lock is the operating system's (flock on the file): it ends with the process that holds it, however that ends. Only
EWOULDBLOCK means that another process holds it. Any other refusal means that this file system has no such locks, as
network drives and Google Drive in Colab. There the lock is ``FILE.pulse`` (`filelock.SoftFileLease`): whoever makes it
has it, and touches it every few seconds. One whose process is gone from this host is taken over at once, one of another
host after `PATIENCE_SECONDS` without a touch; no two hosts' clocks are compared.

The file itself says who holds the lock, as JSON: ``pid``, ``host``, ``name`` and ``does``. It is deleted when the lock
is given back, and a killed process leaves it: whether the lock is held is not read from it.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import LeaseSettingsMismatch, SoftFileLease, Timeout

from mammo_data.waiting import Wait, listener, note

PULSE = ".pulse"
"""Behind the name of a lock: the file that stands for it where flock does not work."""
PATIENCE_SECONDS = 20.0
"""How long the holder of such a file may show no sign of life."""
_TOUCHES = 4
_POLL_SECONDS = 0.1
_FOR_EVER = 10 * 365 * 24 * 3600.0
_LONGEST_WORD = 120
_noted: set[Path] = set()


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock.

    Attributes:
        pid: Its number on its host; 0 where nothing is known of it.
        host: The host's name.
        name: What it calls itself, for example "run demo".
        does: What it does with the lock, for example "prepares the same films".
    """

    pid: int = 0
    host: str = ""
    name: str = ""
    does: str = ""

    def __str__(self) -> str:
        process = f"process {self.pid} on {self.host}" if self.pid else "another process"
        who = f"{self.name} ({process})" if self.name else process
        return f"{who}, which {self.does}" if self.does else who


class LockHeldError(Exception):
    """Another process holds a lock.

    Args:
        holder: Which.
    """

    def __init__(self, holder: Holder) -> None:
        super().__init__(f"held by {holder}")
        self.holder = holder


class Lock:
    """A lock that one process at a time holds; two objects exclude each other within a process, too.

    Where flock does not work, a process that stands still for longer than ``patience`` may lose it to another one.

    Args:
        file: Its file; the folder has to be there.
        does: What this process does with it, in words that follow "which", for those who wait.
        patience: Seconds without a sign of life after which a holder on another host is gone, where flock does not
            work; the same for all who want this lock, by default `PATIENCE_SECONDS`.
    """

    def __init__(self, file: Path, does: str = "", *, patience: float | None = None) -> None:
        self._file, self._does = file, does
        self._patience = PATIENCE_SECONDS if patience is None else patience
        self._descriptor: int | None = None
        self._lease: SoftFileLease | None = None

    def acquire(self, timeout: float | None = None) -> None:
        """Take the lock.

        Args:
            timeout: How long to wait for a holder that is alive, in seconds; None waits for ever. Whether one on
                another host is alive may take longer to see, where flock does not work.

        Raises:
            LockHeldError: If it is still held then.
            OSError: If its file can't be made.
        """
        wait = Wait(self.holder, timeout)
        try:
            try:
                while not self._flocked():
                    if wait.is_over(alive=True):
                        raise LockHeldError(self.holder())
                    time.sleep(_POLL_SECONDS)
            except _NoLocksError as refusal:
                self._say_once(refusal.__cause__)
                self._lease = self._leased(wait)
            self._sign()
        except BaseException:
            self.release()
            raise
        finally:
            wait.end()

    def release(self) -> None:
        """Give it back and delete its file; nothing where it isn't held."""
        with suppress(OSError):  # the folder was taken away with it, or another one has its name now
            if self._is_named():
                self._file.unlink()
        if self._lease is not None:
            with suppress(OSError):
                self._lease.release()
            self._lease = None
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> Holder:
        """Who holds it, or held it last."""
        try:
            values = json.loads(self._file.read_bytes())
            words = {key: _plain(values[key]) for key in ("host", "name", "does")}
            return Holder(int(values["pid"]), **words)
        except (OSError, ValueError, TypeError, KeyError):
            return Holder()

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def _flocked(self) -> bool:
        """Whether the operating system has given the lock.

        Raises:
            _NoLocksError: If it has none here.
        """
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Deleted by its last holder in the meantime: a lock that no name leads to keeps nobody out. The numbers of
            # files alone don't tell: some network drives change them.
            if os.fstat(descriptor).st_nlink or os.path.samestat(os.fstat(descriptor), self._file.stat()):
                self._descriptor, descriptor = descriptor, -1
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError as error:
            raise _NoLocksError from error
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return False

    def _is_named(self) -> bool:
        """Whether the lock that is held is the one that the file's name leads to."""
        if self._descriptor is not None:
            return os.path.samestat(os.fstat(self._descriptor), self._file.stat())
        owner = self._lease.owner if self._lease is not None else None
        return owner is not None and self._lease is not None and owner.token == self._lease.token

    def _leased(self, wait: Wait) -> SoftFileLease:
        pulse = self._file.with_name(self._file.name + PULSE)
        lease = SoftFileLease(
            pulse,
            lease_duration=self._patience,
            heartbeat_interval=self._patience / _TOUCHES,
            thread_local=False,
        )
        first, poll = _touched(pulse), min(_POLL_SECONDS, self._patience / _TOUCHES)
        while True:
            try:
                # A bound, though far away: without one the library takes a second lock of this process for a mistake.
                lease.acquire(_FOR_EVER, poll, cancel_check=lambda: wait.is_over(alive=_touched(pulse) != first))
                return lease
            except LeaseSettingsMismatch:  # another version of the program, with another patience
                if wait.is_over(alive=True):
                    raise LockHeldError(self.holder()) from None
                time.sleep(_POLL_SECONDS)
            except Timeout:
                raise LockHeldError(self.holder()) from None

    def _sign(self) -> None:
        words = json.dumps(asdict(Holder(os.getpid(), platform.node(), listener().name, self._does))).encode()
        # For people alone: a full disk is not to be noticed here.
        with suppress(OSError):
            if self._descriptor is None:
                self._file.write_bytes(words)
            else:
                os.ftruncate(self._descriptor, 0)
                os.write(self._descriptor, words)

    def _say_once(self, refusal: BaseException | None) -> None:
        folder = self._file.parent
        if folder not in _noted:
            _noted.add(folder)
            why = getattr(refusal, "strerror", None) or refusal
            note(f"{folder} has no file locks ({why}): a file that is touched every few seconds stands in")


def is_held(file: Path, *, patience: float = PATIENCE_SECONDS) -> bool:
    """Whether a process holds a lock; asking changes nothing, not even the file's time.

    Where flock does not work, this goes by the time of the last touch and this host's clock: good enough to be shown.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)  # a stranger's folder may have a pipe there
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        touched = _touched(file.with_name(file.name + PULSE))
        return touched is not None and abs(time.time() - touched) < patience and not _is_gone(Lock(file).holder())
    finally:
        os.close(descriptor)
    return False


class _NoLocksError(Exception):
    """The file system has no locks; its cause is what it said."""


def _touched(pulse: Path) -> float | None:
    try:
        return pulse.stat().st_mtime
    except OSError:
        return None


def _is_gone(holder: Holder) -> bool:
    if not holder.pid or holder.host != platform.node():
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _plain(value: object) -> str:
    """A word of a file that anybody may have written."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(value)[:_LONGEST_WORD])
