"""The real command line, killed by the real signal, resumed by typing the same command again."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from search.config.writing import to_toml
from search.errors import RunError
from search.job import Job
from search.protocols.run import run_job
from search.run_folder.directory import RunDirectory
from search.run_folder.manifest import COPY
from search.run_folder.trial_log import read_records
from tests.conftest import ROOT
from tests.support.damage import cut, empty, flip
from tests.support.tiny import tiny_config

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


def wait_for(process, happened, seconds=DEADLINE_SECONDS):
    """Look again and again until something has happened or the process has ended; True if it happened."""
    deadline = time.monotonic() + seconds
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


@pytest.mark.slow
def test_a_run_of_a_notebook_that_had_loaded_tensorflow_without_onednn_goes_on_elsewhere_as_it_began(workspace):
    """Where TensorFlow leaves oneDNN off by itself, and something imports it before this program can ask for it."""
    notebook = (
        "import os; os.environ['TF_ENABLE_ONEDNN_OPTS'] = '0'\n"
        "import tensorflow\nimport search\nsearch.run(config='tuner_config.toml', name={!r})"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    whole, halted = (RunDirectory(workspace / "runs" / name) for name in ("whole", "killed"))
    command = [sys.executable, "-c", notebook.format("whole")]
    subprocess.run(command, cwd=workspace, env=environment, check=True, timeout=DEADLINE_SECONDS)
    assert whole.read_manifest().onednn is False
    process = subprocess.Popen([*command[:2], notebook.format("killed")], cwd=workspace, env=environment)
    assert wait_for(process, lambda: lines(halted.trials_file) >= 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = start(workspace, "--workers", "2")
    _, messages = again.communicate(timeout=DEADLINE_SECONDS)
    assert again.returncode == 0, messages
    assert "resuming after" in messages
    assert_same_result(halted, whole)


@pytest.mark.parametrize(
    "signals",
    [
        (signal.SIGINT, signal.SIGINT, signal.SIGINT),
        pytest.param((signal.SIGTERM, signal.SIGINT), marks=pytest.mark.slow),
        pytest.param((signal.SIGHUP, signal.SIGTERM), marks=pytest.mark.slow),
    ],
)
def test_an_interruption_says_how_to_go_on(workspace, signals):
    """However often it is typed: what comes behind the first one must not break into what that one ends."""
    directory = RunDirectory(workspace / "runs" / "killed")
    process = start(workspace)
    assert wait_for(process, lambda: lines(directory.trials_file) >= 1)
    for number in signals:
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    _, messages = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 130, messages
    assert "Traceback" not in messages
    (line,) = [line for line in messages.splitlines() if line.startswith("mammo-search: ")]
    assert line.endswith("The same command goes on: mammo-search run --name killed")


@pytest.fixture
def halted(finished):
    """A run whose search is done and which has not been said to be complete."""
    config, result = finished
    run = RunDirectory(config.output.runs / "halted")
    shutil.copytree(result.directory.path, run.path, ignore=shutil.ignore_patterns("*.png", ".lock"))
    run.write_manifest(run.read_manifest().but(status="running"))
    yield config
    shutil.rmtree(run.path)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("search.seed", 7, "search.seed 1 → 7"),
        ("space.head_width", (8,), "space.head_width"),
        ("split.seed", 3, "split"),
    ],
)
def test_a_run_is_not_resumed_with_what_would_change_its_results(halted, path, value, words):
    section, key = path.split(".")
    changed = halted.model_copy(update={section: getattr(halted, section).model_copy(update={key: value})})
    with pytest.raises(RunError) as error:
        run_job(Job(changed, name="halted"))
    assert words in str(error.value)
    assert "--fresh" in str(error.value)


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("versions", "tensorflow", "2.0.1", "tensorflow 2.0.1 → "),
        ("versions", "keras", "3.0.1", "keras 3.0.1 → "),
        ("fingerprints", "weights", "0" * 64, "weights 0000000000000000…"),
        ("fingerprints", "plan", "0" * 64, "plan 0000000000000000…"),
        ("objective", "name", "val_loss", "name val_loss → val_macro_auc"),
        (None, "results_version", 0, "results_version 0 → "),
        (None, "device", "NVIDIA H100", "device NVIDIA H100 → CPU"),
    ],
)
def test_a_run_is_not_resumed_by_what_would_compute_otherwise(halted, section, key, value, words):
    run = RunDirectory(halted.output.runs / "halted")
    before = run.read_manifest()
    run.write_manifest(before.but(**({section: {**getattr(before, section), key: value}} if section else {key: value})))
    with pytest.raises(RunError, match=r"Undo them to resume, or use --fresh or another --name") as error:
        run_job(Job(halted, name="halted"))
    assert f"found changes: {words}" in str(error.value)
    assert "\n" not in str(error.value)


def test_what_changes_no_result_may_change(halted):
    """Where things lie, how much disk and time there is, and who asks: the search itself goes on, and is done."""

    class GoneOnError(Exception):
        pass

    def goes_on(*arguments, **settings):
        raise GoneOnError

    changed = halted.model_copy(
        update={
            "cache": halted.cache.model_copy(update={"max_gb": 1.5}),
            "search": halted.search.model_copy(update={"max_minutes": 300}),
            "report": halted.report.model_copy(update={"embed_images": True}),
        }
    )
    run = RunDirectory(halted.output.runs / "halted")
    run.write_manifest(run.read_manifest().but(git="another", host="elsewhere", processor="another"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(GoneOnError):
        patch.setattr("search.protocols.holdout.finish", goes_on)
        run_job(Job(changed, name="halted", detail="verbose", resume=True))
    assert "computed on CPU (another), after the search CPU (" in run.log_file.read_text()


def test_resuming_without_a_run_is_refused(halted):
    with pytest.raises(RunError, match="Leave --resume out"):
        run_job(Job(halted, name="never", resume=True))


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_manifest_that_is_damaged_with_its_copy_is_one_clear_line(halted, damage):
    manifest = RunDirectory(halted.output.runs / "halted").manifest_file
    for path in (manifest, manifest.with_name(COPY)):
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match=r"run\.json"):
        run_job(Job(halted, name="halted"))
