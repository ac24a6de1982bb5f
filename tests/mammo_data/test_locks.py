"""Locks between processes, where flock works and where it does not: one holder, who that is, and what is said."""

from __future__ import annotations

import errno
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mammo_data import locks
from mammo_data.locks import Holder, Lock, LockHeldError, is_held
from mammo_data.waiting import Listener, heard_by
from tests.conftest import ROOT
from tests.support.no_locks import refuse_locks

PATIENCE = 0.8
HOLDER = (
    "import platform, sys\n"
    "from pathlib import Path\n"
    "from mammo_data.locks import Lock\nfrom mammo_data.waiting import Listener, heard_by\n"
    "from tests.support.no_locks import refuse_locks\n"
    "if sys.argv[2]: refuse_locks(Path(sys.argv[1]).parent)\n"
    "if sys.argv[3]:\n"
    "    import filelock._marker\n"
    "    filelock._marker.host_name = lambda: sys.argv[3]\n"
    "    platform.node = lambda: sys.argv[3]\n"
    f"with heard_by(Listener('run other')), Lock(Path(sys.argv[1]), 'fills a bank', patience={PATIENCE}):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.readline()\n"
)


@pytest.fixture(params=["", "no flock"])
def drive(request, tmp_path):
    """A folder with locks of the operating system, and one without."""
    undo = refuse_locks(tmp_path) if request.param else lambda: None
    yield request.param
    undo()


@pytest.fixture
def no_flock(tmp_path):
    undo = refuse_locks(tmp_path)
    yield tmp_path
    undo()


class Other:
    """Another process that holds a lock."""

    def __init__(self, file: Path, drive: str, host: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(file), drive, host],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "held\n"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def let_go(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture
def other(drive, tmp_path):
    process = Other(tmp_path / "lock", drive)
    yield process
    process.end()


def lock(folder: Path) -> Lock:
    return Lock(folder / "lock", "does something", patience=PATIENCE)


def test_a_lock_has_one_holder_and_leaves_nothing(drive, tmp_path):
    with lock(tmp_path):
        assert is_held(tmp_path / "lock")
        with pytest.raises(LockHeldError) as error:
            lock(tmp_path).acquire(0)
        assert error.value.holder == Holder(os.getpid(), platform.node(), "", "does something")
    assert not is_held(tmp_path / "lock")
    assert not list(tmp_path.iterdir())
    with lock(tmp_path):
        pass


def test_the_second_is_told_who_the_first_is(other, drive, tmp_path):
    words = rf"held by run other \(process {other.process.pid} on {platform.node()}\), which fills a bank"
    with pytest.raises(LockHeldError, match=words):
        lock(tmp_path).acquire(0.3)
    assert is_held(tmp_path / "lock")


def test_a_killed_process_holds_nothing(other, drive, tmp_path):
    os.kill(other.process.pid, signal.SIGKILL)
    other.process.wait()
    assert not is_held(tmp_path / "lock")
    with lock(tmp_path):
        assert lock(tmp_path).holder().pid == os.getpid()


def test_waiting_is_said_after_a_second_and_so_is_its_end(other, drive, tmp_path):
    said = []

    def hear(words):
        said.append(words)
        if words:
            threading.Thread(target=other.let_go).start()

    with heard_by(Listener(waits=hear)), lock(tmp_path):
        pass
    first, last = said
    assert first.startswith(f"waiting for run other (process {other.process.pid} on ")
    assert first.endswith("which fills a bank")
    assert last == ""


def test_a_short_wait_is_not_said(drive, tmp_path):
    said, held = [], lock(tmp_path)
    held.acquire()
    timer = threading.Timer(0.1, held.release)
    timer.start()
    with heard_by(Listener(waits=said.append)), lock(tmp_path):
        timer.join()
    assert not said


@pytest.mark.parametrize(
    "number",
    [errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EIO, errno.EACCES, errno.EPERM],
)
def test_no_other_answer_than_would_block_means_held(number, tmp_path):
    notes, undo = [], refuse_locks(tmp_path, number)
    try:
        with heard_by(Listener(notes=notes.append)), lock(tmp_path), Lock(tmp_path / "another"):
            pass
    finally:
        undo()
    assert notes == [
        f"{tmp_path} has no file locks ({os.strerror(number)}): a file that is touched every few seconds stands in"
    ]


def test_a_holder_on_another_host_is_known_by_its_pulse(no_flock):
    other = Other(no_flock / "lock", "no flock", "alpha")
    try:
        with pytest.raises(LockHeldError, match="on alpha"):
            lock(no_flock).acquire(0.1)
        os.kill(other.process.pid, signal.SIGKILL)
        other.process.wait()
        began = time.monotonic()
        with lock(no_flock):
            # Whether it is dead can't be asked there: it is gone when it has not been heard of for so long.
            assert time.monotonic() - began >= PATIENCE * 0.9
    finally:
        other.end()


def test_what_another_one_has_taken_is_not_given_back(no_flock):
    slow = lock(no_flock)
    slow.acquire()
    # As another host does that saw no pulse.
    (no_flock / f"lock{locks.PULSE}").unlink()
    with lock(no_flock):
        slow.release()
        assert is_held(no_flock / "lock")


def test_what_stands_in_a_lock_file_steers_no_terminal(tmp_path):
    (tmp_path / "lock").write_text('{"pid": 7, "host": "a\\u001b[2J", "name": "' + "x" * 500 + '", "does": "\\n"}')
    words = str(Lock(tmp_path / "lock").holder())
    assert words.isprintable()
    assert len(words) < 400
    for text in ("", "[]", "null", '{"pid": "x"}'):
        (tmp_path / "lock").write_text(text)
        assert str(Lock(tmp_path / "lock").holder()) == "another process"
