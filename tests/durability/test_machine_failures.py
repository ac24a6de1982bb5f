"""A disk that is really full, a folder that can't be written or that vanishes: one line, and a state to go on from."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.config.reading import load_config
from search.config.writing import to_toml
from search.errors import RunError
from search.job import Job
from search.plan.protocol import plan_search
from search.protocols.run import run_job
from search.run_folder.trial_log import read_records
from tests.conftest import ROOT
from tests.support.tiny import tiny_config


@contextmanager
def disk(folder: Path, kilobytes: int):
    """A file system of its own, in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={kilobytes}k"
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]).returncode:
        pytest.skip("mounting a file system is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def without_clocks(records):
    return [replace(record, started="", seconds=0, overhead_seconds=0) for record in records]


def weights(directory):
    import keras

    return [np.asarray(weight) for weight in keras.saving.load_model(directory.model_file).weights]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["cache", "runs"])
def test_a_job_on_a_disk_that_is_full_again_and_again_ends_as_on_a_roomy_one(phantom, finished, tmp_path, where):
    """The disk grows a little whenever it was full: in the preparation, the banks, the search, the final stage."""
    _, expected = finished
    config = tiny_config(phantom, tmp_path)
    lines = []
    with disk(tmp_path / where, 40) as full:
        for kilobytes in (80, 250, 700, 1500, 2500, 3500, 64_000, 64_000):  # the last is never full
            try:
                run_job(Job(config, name="full"))
                break
            except RunError as error:
                lines.append(str(error))
                remount(full, f"size={kilobytes}k")
        result = run_job(Job(config, name="after")) if not lines else None
        assert result is None, "the disk was never full"
        assert len(lines) >= (2 if where == "cache" else 4)
        for line in lines:
            assert "No space left on device" in line
            assert "Make room; the same command then goes on." in line
            assert "\n" not in line
        directory = expected.directory.__class__(config.output.runs / "full")
        found, wanted = (read_records(each.trials_file) for each in (directory, expected.directory))
        assert without_clocks(found) == without_clocks(wanted)
        for first, second in zip(weights(directory), weights(expected.directory), strict=True):
            assert np.array_equal(first, second)


class Meddler:
    """Does something to the folder after a run."""

    def __init__(self, run, what):
        self._run, self._what = run, what

    def trial_begins(self, run, assignment, configuration): ...

    def epoch_ended(self, run, fold, epoch): ...

    def trial_ended(self, record):
        if record.trial == self._run:
            self._what()


@pytest.fixture(scope="module")
def search(engine):
    from search.trials.worker import TrainerPool
    from search.tuner.search import run_search

    config = load_config(
        None,
        {
            "space.head_width": [16],
            "space.unfreeze_depth": [0],
            "search.max_trials": 4,
            "search.max_epochs": 3,
        },
    )
    trainers = TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="sgd")

    def run(directory, meddle=lambda: None):
        log = directory / "trials.jsonl"
        outcome = run_search(
            plan_search(config.search),
            config,
            engine.data,
            engine.settings,
            trainers=trainers,
            run_directory=directory,
            listener=Meddler(1, meddle),
            finished=read_records(log) if log.exists() else (),
        )
        return without_clocks(outcome.records)

    return run


@pytest.fixture(scope="module")
def undisturbed(search, tmp_path_factory):
    return search(tmp_path_factory.mktemp("undisturbed"))


def test_a_folder_that_vanishes_is_one_line_and_is_not_made_anew(search, undisturbed, tmp_path):
    folder, away = tmp_path / "run", tmp_path / "elsewhere"
    with pytest.raises(RunError, match=r"the run's folder .*run; found none") as error:
        search(folder, lambda: folder.rename(away))
    assert "Bring it back, and the same command goes on" in str(error.value)
    assert not folder.exists()
    away.rename(folder)
    assert search(folder) == undisturbed


def test_a_folder_that_is_replaced_by_another_is_noticed(search, tmp_path):
    folder, away = tmp_path / "run", tmp_path / "elsewhere"

    def replace_it():
        folder.rename(away)
        folder.mkdir()

    with pytest.raises(RunError, match="vanished"):
        search(folder, replace_it)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("lost", ["trials.jsonl", "best/bit_mammography_final.keras", "best/predictions.csv"])
def test_a_run_is_not_complete_in_the_ruins_of_its_folder(finished, tmp_path, lost):
    """The folder was taken away at the end of a run; the figures, written afterwards, have made a new one."""
    from search.run_folder.lifecycle import complete

    run = finished[1].directory.__class__(tmp_path / "run")
    shutil.copytree(finished[1].directory.path, run.path, ignore=shutil.ignore_patterns("*.png", ".lock"))
    run.write_manifest(run.read_manifest().but(status="running"))
    (run.path / lost).unlink()
    with pytest.raises(RunError, match=f"found no {lost}"):
        complete(run)
    assert not run.is_complete


def test_a_disk_that_becomes_read_only_is_one_line(search, undisturbed, tmp_path):
    with disk(tmp_path / "disk", 64_000) as folder:
        with pytest.raises(RunError, match=r"Read-only file system.*Make it writable; the same command"):
            search(folder / "run", lambda: remount(folder, "ro"))
        remount(folder, "rw")
        assert search(folder / "run") == undisturbed


def without_privileges(command):
    """The command, so that root as well is held to the permissions of files; the test skips where that can't be."""
    if os.geteuid() != 0:
        return command
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and setpriv is absent")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]


@pytest.mark.parametrize(
    ("arguments", "folder", "setting"),
    [
        ([], "mammo-search", "output.cache"),
        (["--set", "output.cache=elsewhere", "--weights", "tf-hub"], "mammo-search/weights/imported", "XDG_CACHE_HOME"),
    ],
)
def test_a_read_only_home_is_one_line_before_anything_begins(phantom, tmp_path, arguments, folder, setting):
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o555)
    settings = ["--data", str(phantom), "--backbone", "bit-m-r50x1", *arguments]
    command = [sys.executable, "-X", "importtime", "-m", "search", "run", *settings]
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    answer = subprocess.run(
        without_privileges(command),
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT), "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    home.chmod(0o755)
    lines = answer.stderr.splitlines()
    (line,) = [line for line in lines if not line.startswith("import time:")]
    assert line.startswith("mammo-search: Expected a folder that can be made or written to")
    assert f"at {home}/.cache/{folder}; found Permission denied. Change {setting}, or" in line
    assert not [line for line in lines if line.endswith(" tensorflow")]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("what", ["a folder of runs that is read-only", "a run that is read-only"])
def test_a_read_only_folder_is_one_line_before_anything_begins(phantom, tmp_path, what):
    runs = tmp_path / "runs"
    closed = runs if "of runs" in what else runs / "mine"
    closed.mkdir(parents=True)
    (tmp_path / "tuner_config.toml").write_text(to_toml(tiny_config(phantom, tmp_path)))
    closed.chmod(0o555)
    try:
        answer = subprocess.run(
            without_privileges([sys.executable, "-m", "search", "run", "--name", "mine"]),
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        closed.chmod(0o755)
    assert answer.returncode == 1, answer.stderr
    (line,) = answer.stderr.splitlines()
    assert "Permission denied" in line
    assert line.endswith(("Make it writable; the same command then goes on.", "permissions of the folder above."))
