"""Banks that other processes fill or use: waited for by name, never deleted, and nobody waits for other data's."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mammo_data.waiting import Listener, heard_by
from search.boundary.store import bank_bytes
from tests.conftest import ROOT
from tests.support.no_locks import refuse_locks
from tests.support.small_bank import BATCH, KEY, VIEWS, fill

SIZE = bank_bytes(0, (10,), VIEWS)
# Fills a bank, stops in its middle or with it in hand, and goes on when it is told to.
OTHER = """
import sys
from pathlib import Path
from mammo_data.waiting import Listener, heard_by
from tests.support.small_bank import fill
from tests.support.no_locks import refuse_locks
folder, views, moment, drive = sys.argv[1:]
if drive:
    refuse_locks(folder)
def stop(what):
    if moment == what:
        print(what, flush=True)
        sys.stdin.readline()
with heard_by(Listener("run other")):
    values = fill(Path(folder), views, between=lambda: stop("filling"))
    stop("using")
"""


@pytest.fixture(params=["", "no flock"])
def drive(request, tmp_path):
    undo = refuse_locks(tmp_path) if request.param else lambda: None
    yield request.param
    undo()


@pytest.fixture
def begin(drive, tmp_path):
    begun = []

    def begin(views, moment):
        process = subprocess.Popen(
            [sys.executable, "-c", OTHER, str(tmp_path), views, moment, drive],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        assert process.stdout.readline() == f"{moment}\n"
        return process

    yield begin
    for process in begun:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_who_waits_for_a_bank_says_for_whom_and_finds_it(begin, tmp_path):
    other, said = begin("v", "filling"), []

    def hear(words):
        said.append(words)
        if words:
            other.stdin.write("\n\n\n")
            other.stdin.flush()

    with heard_by(Listener(waits=hear)):
        values = fill(tmp_path, between=lambda: pytest.fail("the bank was filled twice"))
    assert np.array_equal(values[:, 0], np.repeat([0, BATCH], BATCH))
    words = f"waiting for run other (process {other.pid} on "
    assert said[0].startswith(words)
    assert said[0].endswith("), which fills the bank of depth 0")
    assert said[1:] == [""]


def test_nobody_waits_for_a_bank_of_other_data(begin, tmp_path):
    begin("v", "filling")
    said = []
    with heard_by(Listener(waits=said.append)):
        assert fill(tmp_path, "another") is not None
        begin("another", "using")
    assert not said


def test_who_waits_for_a_killed_process_goes_on_with_its_bank(begin, tmp_path):
    other = begin("v", "filling")
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert np.array_equal(fill(tmp_path)[:, 0], np.repeat([0, BATCH], BATCH))


@pytest.mark.parametrize("moment", ["filling", "using"])
def test_a_bank_that_another_process_fills_or_uses_makes_no_room(begin, tmp_path, monkeypatch, moment):
    # On a drive it takes some seconds to see that its process is alive.
    monkeypatch.setattr("mammo_data.locks.PATIENCE_SECONDS", 1)
    other, notes = begin("v", moment), []
    bank = tmp_path / replace(KEY, views="v").fingerprint
    with heard_by(Listener(notes=notes.append)):
        fill(tmp_path, "another", max_bytes=SIZE)
    assert (bank / "values.npy").is_file()
    assert notes[-1].startswith("banks take 0.00077 MB, more than cache.max_gb")
    other.send_signal(signal.SIGKILL)
    other.wait()
    fill(tmp_path, "third", max_bytes=SIZE)
    assert not bank.exists()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [replace(KEY, views="third").fingerprint]
