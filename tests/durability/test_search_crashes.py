"""A search that dies between any two writes ends, resumed, with the table of one that was never interrupted."""

import os
import shutil
from contextlib import suppress
from dataclasses import replace

import pytest

from search.config.reading import load_config
from search.files.tensors import load_checked_npz, load_checked_safetensors, save_checked_safetensors
from search.plan.protocol import plan_search
from search.plan.space import Configuration
from search.run_folder.trial_log import drop_torn_line, read_records
from tests.support.damage import DAMAGES
from tests.support.slow import slow


class Crash(BaseException):
    """What no handler of errors catches, as a kill."""


class Silent:
    def trial_begins(self, run, assignment, configuration): ...

    def epoch_ended(self, run, fold, epoch): ...

    def trial_ended(self, record): ...


@pytest.fixture(scope="module")
def trainers(engine):
    from search.trials.worker import TrainerPool

    return TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="sgd")


@pytest.fixture(scope="module")
def search(engine, trainers):
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

    def run(directory):
        log = directory / "trials.jsonl"
        drop_torn_line(log)
        outcome = run_search(
            plan_search(config.search),
            config,
            engine.data,
            engine.settings,
            trainers=trainers,
            run_directory=directory,
            listener=Silent(),
            finished=read_records(log) if log.exists() else (),
        )
        return [replace(record, started="", seconds=0, overhead_seconds=0) for record in outcome.records]

    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of the uninterrupted search."""
    return tmp_path_factory.mktemp("uninterrupted")


@pytest.fixture(scope="module")
def uninterrupted(search, whole):
    return search(whole)


def out_of_fold(directory):
    files = sorted((directory / "oof").iterdir())
    return [(path.name, {name: array.tolist() for name, array in load_checked_npz(path).items()}) for path in files]


def writes_of(search, directory, monkeypatch):
    """How often a search asks the system to put something on the disk."""
    count = 0
    original = os.fsync

    def counted(descriptor):
        nonlocal count
        count += 1
        original(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", counted)
        search(directory)
    return count


def crash_at(search, directory, monkeypatch, number):
    """Let a search die in the place of its numbered write."""
    count = 0
    original = os.fsync

    def fatal(descriptor):
        nonlocal count
        count += 1
        if count >= number:
            raise Crash
        original(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fatal)
        with pytest.raises(Crash):
            search(directory)


def assert_every_crash_is_survived(search, uninterrupted, tmp_path, monkeypatch, step):
    (tmp_path / "counted").mkdir()
    total = writes_of(search, tmp_path / "counted", monkeypatch)
    assert total > 30
    for number in range(1, total + 1, step):
        directory = tmp_path / str(number)
        directory.mkdir()
        crash_at(search, directory, monkeypatch, number)
        assert search(directory) == uninterrupted, f"after a crash at write {number} of {total}"
        assert search(directory) == uninterrupted, "a finished search is not searched again"


@pytest.mark.slow
def test_a_crash_at_any_of_some_writes_changes_nothing(search, uninterrupted, tmp_path, monkeypatch):
    assert_every_crash_is_survived(search, uninterrupted, tmp_path, monkeypatch, step=5)


@pytest.mark.slow
def test_a_crash_at_any_write_changes_nothing(search, uninterrupted, tmp_path, monkeypatch):
    assert_every_crash_is_survived(search, uninterrupted, tmp_path, monkeypatch, step=1)


def test_many_crashes_in_one_search_change_nothing(search, uninterrupted, tmp_path, monkeypatch):
    crashes = 0
    for number in (3, 9, 5, 14, 2, 8):
        # A later part may have fewer writes left than the number, and ends well.
        with suppress(pytest.fail.Exception):
            crash_at(search, tmp_path, monkeypatch, number)
            crashes += 1
    assert crashes >= 3
    assert search(tmp_path) == uninterrupted


PATTERNS = ("checkpoints/*/*", "in_flight/*/*", "oof/*", "search/*.json", "search/*/*.json")


@pytest.fixture(scope="module")
def stopped(search, uninterrupted, tmp_path_factory):
    """A search that died in the first promotion: it has checkpoints, a finished fold, and KerasTuner's files."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for number in range(20, 60, 3):
            directory = tmp_path_factory.mktemp("stopped")
            crash_at(search, directory, monkeypatch, number)
            if len(read_records(directory / "trials.jsonl")) == 2 and all(files(directory, each) for each in PATTERNS):
                return directory
    pytest.fail("no crash left all of them")


def files(directory, pattern):
    # The writing thread outlives this make-believe crash: its temporary files come and go.
    return [path for path in directory.glob(pattern) if path.is_file() and not path.name.startswith(".")]


@pytest.mark.parametrize("damage", [DAMAGES[0], *slow(*DAMAGES[1:])])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_damaged_state_is_made_anew(search, uninterrupted, whole, stopped, tmp_path, pattern, damage):
    directory = shutil.copytree(stopped, tmp_path / "copy", ignore=shutil.ignore_patterns(".*"))
    for file in files(directory, pattern):
        file.write_bytes(damage(file.read_bytes()))
    assert search(directory) == uninterrupted
    assert out_of_fold(directory) == out_of_fold(whole)


def test_the_state_of_another_version_s_tail_is_made_anew(search, uninterrupted, stopped, tmp_path):
    directory = shutil.copytree(stopped, tmp_path / "copy", ignore=shutil.ignore_patterns(".*"))
    for file in files(directory, "checkpoints/*/*"):
        first, *others = load_checked_safetensors(file).items()
        save_checked_safetensors(file, dict(others) | {f"{first[0]}-renamed": first[1]})
    assert search(directory) == uninterrupted


def test_a_search_that_is_complete_trains_nothing(search, trainers, uninterrupted, whole, tmp_path):
    directory = shutil.copytree(whole, tmp_path / "copy")
    trainer = trainers(Configuration(**uninterrupted[0].hyperparameters))
    before = trainer.arithmetic_seconds
    assert before > 0
    assert search(directory) == uninterrupted
    assert trainer.arithmetic_seconds == before
