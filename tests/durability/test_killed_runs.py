"""The real command line, killed by the real signal, resumed by typing the same command again."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from search.config_toml import to_toml
from search.errors import RunError
from search.job import JobRequest, run_job
from search.manifest import COPY
from search.run_directory import RunDirectory
from search.trial_log import read_records
from tests.conftest import ROOT
from tests.durability.damage import cut, empty, flip
from tests.search.tiny import tiny_config

DEADLINE_SECONDS = 120


def start(workspace, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "search", "run", "--name", "killed", *arguments],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process, happened):
    """Look again and again until something has happened or the process has ended; True if it happened."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not happened():
        if process.poll() is not None:
            return happened()
        assert time.monotonic() < deadline, "it never happened"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    return True


def lines(file):
    return file.read_bytes().count(b"\n") if file.is_file() else 0


def table(directory):
    return [replace(r, started="", seconds=0, overhead_seconds=0) for r in read_records(directory.trials_file)]


@pytest.fixture
def workspace(phantom, tmp_path):
    (tmp_path / "tuner_config.toml").write_text(to_toml(tiny_config(phantom, tmp_path)))
    return tmp_path


def assert_same_result(directory, expected):
    import keras

    assert table(directory) == table(expected)
    models = [keras.saving.load_model(each.model_file) for each in (directory, expected)]
    for first, second in zip(*(model.weights for model in models), strict=True):
        assert np.array_equal(np.asarray(first), np.asarray(second)), first.path
    assert (directory.best / "predictions.csv").read_bytes() == (expected.best / "predictions.csv").read_bytes()


@pytest.mark.slow
def test_killed_again_and_again_a_run_ends_as_if_nothing_had_happened(workspace, finished):
    _, whole = finished
    directory = RunDirectory(workspace / "runs" / "killed")
    moments = (
        lambda: directory.manifest_file.is_file(),
        lambda: lines(directory.trials_file) >= 2,
        lambda: lines(directory.trials_file) >= 5,
        lambda: directory.model_file.is_file(),
    )
    for moment in moments:
        process = start(workspace)
        assert wait_for(process, moment), process.stderr.read()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = start(workspace, "--resume")
    _, messages = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, messages
    assert "resuming after" in messages
    assert_same_result(directory, whole.directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_says_how_to_go_on(workspace, number):
    directory = RunDirectory(workspace / "runs" / "killed")
    process = start(workspace)
    assert wait_for(process, lambda: lines(directory.trials_file) >= 1)
    process.send_signal(number)
    _, messages = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 130, messages
    assert "Traceback" not in messages
    (line,) = [line for line in messages.splitlines() if line.startswith("mammo-search: ")]
    assert line.endswith("The same command goes on: mammo-search run --name killed")


def test_a_second_process_is_kept_out(workspace):
    directory = RunDirectory(workspace / "runs" / "killed")
    first = start(workspace)
    assert wait_for(first, lambda: directory.manifest_file.is_file())
    second = start(workspace)
    _, messages = second.communicate(timeout=DEADLINE_SECONDS)
    first.kill()
    first.communicate()
    assert second.returncode == 1
    assert "another one at work" in messages


@pytest.fixture(scope="module")
def halted(phantom, tmp_path_factory, tensorflow_started):
    """A run that ended in its search."""

    class StopError(Exception):
        pass

    import search.job as job

    config = tiny_config(phantom, tmp_path_factory.mktemp("halted"))
    with pytest.MonkeyPatch.context() as patch:

        def stop(*arguments, **settings):
            raise StopError

        patch.setattr("search.final_stage.finish", stop)
        with pytest.raises(StopError):
            job.run_job(JobRequest(config, name="halted"))
    return config


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("search.seed", 7, "search.seed 0 → 7"),
        ("space.head_width", (8,), "space.head_width"),
        ("split.seed", 3, "split"),
    ],
)
def test_a_run_is_not_resumed_with_what_would_change_its_results(halted, path, value, words):
    section, key = path.split(".")
    changed = halted.model_copy(update={section: getattr(halted, section).model_copy(update={key: value})})
    with pytest.raises(RunError) as error:
        run_job(JobRequest(changed, name="halted"))
    assert words in str(error.value)
    assert "--fresh" in str(error.value)


def test_resuming_without_a_run_is_refused(halted):
    with pytest.raises(RunError, match="Leave --resume out"):
        run_job(JobRequest(halted, name="never", resume=True))


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_manifest_that_is_damaged_with_its_copy_is_one_clear_line(halted, damage):
    manifest = RunDirectory(halted.output.runs / "halted").manifest_file
    contents = {path: path.read_bytes() for path in (manifest, manifest.with_name(COPY))}
    for path, content in contents.items():
        path.write_bytes(damage(content))
    try:
        with pytest.raises(RunError, match=r"run\.json"):
            run_job(JobRequest(halted, name="halted"))
    finally:
        for path, content in contents.items():
            path.write_bytes(content)
