"""One run folder, one owner: the lock, who holds it, and what --fresh may delete."""

import os
import platform
import shutil
import signal
import threading

import pytest

from search.errors import RunError
from search.job import Job
from search.protocols.run import run_job
from search.run_folder.directory import RunDirectory, open_run_directory
from search.run_folder.lock import is_locked, owned, require_no_other_host
from search.run_folder.session import SESSION, begin_session, end_session, read_session
from tests.support.run_owner import other_owner


@pytest.fixture
def run(finished, tmp_path):
    """A run folder with something to lose."""
    directory = RunDirectory(tmp_path / "runs" / "mine")
    shutil.copytree(finished[1].directory.path, directory.path, ignore=shutil.ignore_patterns("*.png", ".lock"))
    directory.write_manifest(directory.read_manifest().but(status="running"))
    return directory


@pytest.fixture
def holder(run):
    with other_owner(run.path) as process:
        yield process


def test_the_second_process_is_told_who_is_at_work(run, holder):
    words = f"another one at work in it, process {holder.pid}, since .*Wait for it"
    with pytest.raises(RunError, match=words) as error, owned(run.path):
        pass
    assert "\n" not in str(error.value)


def test_fresh_does_not_delete_a_run_that_is_at_work(run, holder):
    before = sorted(run.path.rglob("*"))
    with pytest.raises(RunError, match=f"process {holder.pid}"):
        open_run_directory(run.path.parent, "mine", fresh=True)
    assert sorted(run.path.rglob("*")) == before
    assert [path.name for path in run.path.parent.iterdir()] == ["mine"]


def test_the_lock_of_a_killed_process_is_free_at_once(run, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with owned(run.path):
        assert read_session(run.path).pid == os.getpid()
    assert read_session(run.path) is None


@pytest.mark.parametrize("failure", [RunError(expected="a", found="b", remedy="C."), KeyboardInterrupt("stopped")])
def test_a_folder_is_free_again_when_its_owner_fails(tmp_path, failure):
    assert not is_locked(tmp_path)
    with pytest.raises(type(failure)) as error, owned(tmp_path):
        assert is_locked(tmp_path)
        raise failure
    assert not is_locked(tmp_path), "though what failed is still looked at"
    assert read_session(tmp_path).error == " ".join(str(error.value).split())
    with owned(tmp_path):
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)
    assert read_session(tmp_path) is None


def moved(config, run):
    """The configuration of the finished run, for its copy."""
    return config.model_copy(update={"output": config.output.model_copy(update={"runs": run.path.parent})})


def test_a_job_does_not_touch_a_run_that_is_at_work(finished, run, holder):
    def content():
        return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}

    before = content()
    with pytest.raises(RunError, match=f"process {holder.pid}"):
        run_job(Job(moved(finished[0], run), name="mine"))
    assert content() == before


def test_a_job_frees_its_folder_at_its_end_and_when_it_fails(finished, run):
    config, result = finished
    assert not is_locked(result.directory.path)
    assert read_session(result.directory.path) is None
    # What is found at the gate leaves no trace; the weights are compared behind it.
    other = moved(config, run).model_copy(update={"search": config.search.model_copy(update={"seed": 7})})
    with pytest.raises(RunError, match=r"search\.seed 1 → 7"):
        run_job(Job(other, name="mine"))
    assert read_session(run.path) is None
    run.update_manifest(fingerprints={**run.read_manifest().fingerprints, "weights": "0" * 64})
    with pytest.raises(RunError, match="found changes: weights 0") as error:
        run_job(Job(moved(config, run), name="mine"))
    assert not is_locked(run.path)
    assert read_session(run.path).error == str(error.value)


def test_a_run_is_replaced_at_once_or_not_at_all(run, monkeypatch):
    """Killed while it deletes, the old run is gone as a whole; the next --fresh clears away what is left of it."""

    def killed(path, *arguments, **settings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("search.run_folder.directory.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            open_run_directory(run.path.parent, "mine", fresh=True)
    assert not run.path.exists()
    (hidden,) = run.path.parent.iterdir()
    assert hidden.name.startswith(".mine-")
    begun = open_run_directory(run.path.parent, "mine", fresh=True)
    assert begun.is_unstarted
    begun.write_manifest(RunDirectory(hidden / "mine").read_manifest())
    open_run_directory(run.path.parent, "mine", fresh=True)
    assert not hidden.exists()


@pytest.fixture
def elsewhere(run, monkeypatch):
    """The session of a process on another host, which has not signed off; its lock does not reach this one."""
    with monkeypatch.context() as patch:
        patch.setattr(platform, "node", lambda: "alpha")
        begin_session(run.path)
    return run.path / SESSION


def test_a_process_at_work_on_another_host_is_known_by_its_pulse(elsewhere):
    ended = threading.Event()

    def beat():
        while not ended.wait(0.02):
            os.utime(elsewhere)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(RunError, match=f"process {os.getpid()} on alpha"):
            require_no_other_host(elsewhere.parent, patience=60)
    finally:
        ended.set()
        thread.join()


def test_a_process_that_died_on_another_host_is_in_nobodys_way(elsewhere):
    said = []
    require_no_other_host(elsewhere.parent, patience=0.3, say=said.append)
    assert said == [f"process {os.getpid()} on alpha has not signed off here; waiting 0 s for its pulse"]
    with owned(elsewhere.parent, patience=0.3):
        assert read_session(elsewhere.parent).host == platform.node()


@pytest.mark.parametrize("left", ["signed off", "killed here"])
def test_nobody_waits_for_a_process_that_signed_off_or_was_on_this_host(run, monkeypatch, left):
    said = []
    with monkeypatch.context() as patch:
        if left == "signed off":
            patch.setattr(platform, "node", lambda: "alpha")
        session = begin_session(run.path)
        if left == "signed off":
            end_session(run.path, session, None)
    with owned(run.path, patience=0.3, say=said.append):
        assert said == []
