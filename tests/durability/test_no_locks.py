"""Runs on a drive without locks, banks on a local disk: one owner, goes on after a kill, and nothing bare is left."""

from __future__ import annotations

import os
import shutil
import signal
import threading

import pytest

from mammo_data.locks import PULSE
from search.errors import RunError
from search.job import Job
from search.protocols.run import run_job
from search.run_folder.directory import RunDirectory
from search.run_folder.lock import LOCK, is_locked, owned
from search.run_folder.session import begin_session, read_session
from tests.support.no_locks import refuse_locks
from tests.support.run_owner import other_owner


@pytest.fixture
def drive(tmp_path):
    """A folder of runs without locks."""
    folder = tmp_path / "drive"
    folder.mkdir()
    undo = refuse_locks(folder)
    yield folder
    undo()


@pytest.fixture
def job(finished, drive):
    """A run whose search is done, on the drive; its banks are in the cache, on the local disk."""
    config, result = finished
    run = RunDirectory(drive / "runs" / "mine")
    shutil.copytree(result.directory.path, run.path, ignore=shutil.ignore_patterns("*.png"))
    run.write_manifest(run.read_manifest().but(status="running"))
    return Job(config.model_copy(update={"output": config.output.model_copy(update={"runs": drive / "runs"})}), "mine")


@pytest.fixture
def holder(job):
    with other_owner(job.directory.path, locks=False) as process:
        yield process


@pytest.mark.slow
def test_a_run_on_a_drive_without_locks_has_one_owner_and_goes_on_when_that_is_killed(job, holder, capsys):
    directory = job.directory
    assert directory.is_in_use
    with pytest.raises(RunError, match=f"another one at work in it, process {holder.pid}, since"):
        run_job(job)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert not directory.is_in_use

    class GoneOnError(Exception):
        pass

    def goes_on(*arguments, **settings):
        assert (directory.path / (LOCK + PULSE)).exists()
        assert is_locked(directory.path)
        raise GoneOnError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(GoneOnError):
        patch.setattr("search.protocols.holdout.finish", goes_on)
        run_job(job)
    assert not (directory.path / (LOCK + PULSE)).exists()
    assert not is_locked(directory.path)


@pytest.mark.slow
def test_a_run_on_a_drive_without_locks_ends_as_on_a_local_disk(job, finished):
    result = run_job(job)
    assert result.directory.is_complete
    expected = finished[1].directory.best / "predictions.csv"
    assert (result.directory.best / "predictions.csv").read_bytes() == expected.read_bytes()
    assert not [path.name for path in result.directory.path.glob(f"{LOCK}*")]


def test_a_process_that_another_one_has_taken_the_folder_from_is_interrupted(drive, monkeypatch):
    """It stood still for so long; what it writes at its end is not its own any more."""
    monkeypatch.setattr("search.run_folder.lock.PULSE_SECONDS", 0.05)
    folder, taken = drive / "run", None
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt), owned(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("platform.node", lambda: "alpha")
            taken = begin_session(folder)
        threading.Event().wait(60)
    assert read_session(folder) == taken


@pytest.mark.parametrize("failure", [ValueError("a bug"), MemoryError(), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize(
    "where",
    [
        "search.protocols.run._carry_out",
        "search.protocols.run.library_noise_in",
        "search.run_folder.lock.begin_session",
        "search.run_folder.lock.locked",
        "search.protocols.run.open_run_directory",
    ],
)
def test_whatever_ends_a_run_before_it_has_begun_leaves_no_folder(finished, tmp_path, where, failure):
    config = finished[0]
    config = config.model_copy(update={"output": config.output.model_copy(update={"runs": tmp_path / "runs"})})

    def fails(*arguments, **settings):
        if where.endswith("open_run_directory"):
            (tmp_path / "runs" / "mine").mkdir(parents=True)
        raise failure

    with pytest.MonkeyPatch.context() as patch, pytest.raises(BaseException) as error:  # noqa: PT011
        patch.setattr(where, fails)
        run_job(Job(config, "mine"))
    assert isinstance(error.value, type(failure)) or str(error.value).startswith(("interrupted; nothing", "Expected"))
    assert not list(tmp_path.iterdir())
