"""A child process: what it answers, how it is lost, and that it outlives nobody and opens no port."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from search.errors import ConfigError
from search.machine.child import Child, arrived
from tests.support import called_in_a_child as calls


@pytest.fixture
def child(tmp_path):
    started = Child(tmp_path / "log", {"FOR_THE_CHILD": "set"})
    yield started
    started.end()


def until(condition, seconds=60):
    """Return when it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def heard(child, count=1):
    """So many messages."""
    found = []
    while len(found) < count:
        arrived([child], 5.0)
        found += child.messages()
    return found


def test_what_is_told_comes_before_the_answer_and_calls_are_answered_in_turn(child):
    first, second = child.call(calls.doubled, 3), child.call(calls.doubled, 4)
    found = [(each.number, each.kind, each.value) for each in heard(child, 4)]
    assert found == [
        *((first, "told", "3 twice"), (first, "done", 6)),
        *((second, "told", "4 twice"), (second, "done", 8)),
    ]


def test_an_error_of_ours_comes_back_as_it_was_and_any_other_by_its_text(child, tmp_path):
    child.call(calls.refused)
    (refused,) = heard(child)
    assert isinstance(refused.value, ConfigError)
    assert refused.value.exit_code == 2
    assert str(refused.value) == "Expected 2 or more; found 1. Ask for more."
    assert refused.value.remedy == "Ask for more."
    child.call(calls.stumbled)
    (stumbled,) = heard(child)
    assert str(stumbled.value) == "Unsendable: over its own feet"
    assert "over its own feet" in (tmp_path / "log").read_text(), "its traceback is in its log"
    child.call(calls.doubled, 1)
    assert heard(child, 2)[-1].value == 2, "it goes on"


def test_a_memory_map_is_sent_as_the_place_of_its_file_and_a_part_of_one_by_its_values(child, tmp_path):
    np.save(tmp_path / "values.npy", np.arange(12.0).reshape(3, 4))
    values = np.load(tmp_path / "values.npy", mmap_mode="r")
    child.call(calls.kind_and_file, values)
    assert heard(child)[0].value == ("memmap", str(tmp_path / "values.npy"), 66.0)
    child.call(calls.kind_and_file, values[1:])
    assert heard(child)[0].value == ("ndarray", None, 60.0)
    (tmp_path / "values.npy").unlink()
    child.call(calls.kind_and_file, values)
    assert isinstance(heard(child)[0].value, FileNotFoundError)


def test_one_that_works_is_not_idle_and_one_that_is_stopped_or_asleep_is(child):
    child.call(calls.at_work)
    began = time.monotonic()
    while time.monotonic() - began < 6:
        arrived([child], 0.5)
        assert child.messages() == []
        assert child.idle_seconds < 5
    os.kill(child.process_id, signal.SIGSTOP)
    until(lambda: child.messages() == [] and child.idle_seconds > 5)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda child: os.kill(child.process_id, signal.SIGKILL), "killed, as the system does when memory runs out"),
        (lambda child: os.kill(child.process_id, signal.SIGTERM), "ended by SIGTERM"),
        (lambda child: child.call(calls.ended, 3), "ended with code 3"),
    ],
)
def test_a_lost_one_says_how(child, how, words):
    how(child)
    (lost,) = heard(child)
    assert (lost.kind, lost.value) == ("lost", words)
    assert child.messages() == []
    child.call(calls.doubled, 1)
    assert child.messages() == [], "nobody is there to answer"


def test_it_ends_with_its_driver_however_that_dies(tmp_path):
    program = [sys.executable, "-m", calls.__name__, str(tmp_path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as driver:
        said = driver.stdout.readline()
        driver.kill()
        number = int(said)
        until(lambda: not Path(f"/proc/{number}").exists())


def test_a_terminals_ctrl_c_and_a_folder_named_like_the_program_do_not_reach_it(tmp_path, monkeypatch):
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    child = Child(tmp_path / "log")
    try:
        assert os.getpgid(child.process_id) != os.getpgid(0)
        child.call(calls.doubled, 1)
        heard(child, 2)
        os.kill(child.process_id, signal.SIGINT)
        child.call(calls.doubled, 5)
        assert heard(child, 2)[-1].value == 10
    finally:
        child.end()


def test_it_opens_no_port(child):
    child.call(calls.doubled, 1)
    heard(child, 2)
    sockets = {str(each.readlink()) for each in Path(f"/proc/{child.process_id}/fd").iterdir()}
    inodes = {each.removeprefix("socket:[").rstrip("]") for each in sockets if each.startswith("socket:")}
    assert inodes, "it talks through a socket"
    network = [
        line.split()[9]
        for table in ("tcp", "tcp6", "udp", "udp6")
        for line in Path(f"/proc/{child.process_id}/net/{table}").read_text().splitlines()[1:]
    ]
    assert not inodes & set(network)
