"""Folds that end in any order, and a search that dies with early results, give the files of one after the other."""

import json
import random
from dataclasses import replace

import pytest

from reports import best_trial
from search.config.reading import load_config
from search.errors import RunError
from search.files.tensors import load_checked_npz
from search.plan.protocol import plan_search
from search.run_folder.trial_log import read_records

CLOCKS = ("started", "seconds", "overhead_seconds", "build_seconds")
WILD = {"head_width": 16, "dropout": 0.1, "l2": 1e-4, "learning_rate": 1e18, "unfreeze_depth": 0}


class Killed(BaseException):
    """What no handler of errors catches, as a kill."""


class Shuffled:
    """An executor that has many folds out, of several trials, and trains them in a random order.

    Args:
        worker: What trains them.
        seed: Of the order.
        results: Dies after so many.
    """

    def __init__(self, worker, seed, results=10**6):
        self._worker, self._random, self._left = worker, random.Random(seed), results
        self._out = []

    workers = 16

    @property
    def has_room(self):
        return len(self._out) < 16

    def submit(self, work, on_epoch, urgency=0.0):
        self._out.append((work, on_epoch))

    def next_result(self):
        if not self._left:
            raise Killed
        self._left -= 1
        work, on_epoch = self._out.pop(self._random.randrange(len(self._out)))
        return work, work.carry_out(self._worker, on_epoch)

    def cancel(self, unwanted):
        # Every other fold was in training already, and gives its result all the same.
        self._out = [each for each in self._out if not unwanted(each[0]) or self._random.random() < 0.5]

    def flush(self):
        self._worker.checkpoints.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            self._worker.checkpoints.close()


class Watching:
    """Takes down the checkpoints of each trial as it is recorded."""

    def __init__(self, folder):
        self._folder = folder
        self.checkpoints, self.trained = {}, set()

    def trial_begins(self, trial, assignment, configuration): ...

    def epoch_ended(self, trial, fold, epoch):
        self.trained.add(f"{trial:04d}")

    def trial_ended(self, record):
        for file in sorted((self._folder / "checkpoints" / f"{record.trial:04d}").glob("fold-*")):
            self.checkpoints[record.trial, file.name] = file.read_bytes()


@pytest.fixture(scope="module")
def trainers(engine):
    from search.trials.worker import TrainerPool

    return TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="sgd")


@pytest.fixture(scope="module")
def search(engine, trainers):
    from search.tuner.executors.in_process import InProcessExecutor
    from search.tuner.search import run_search

    def run(folder, executor_of=InProcessExecutor, data=None, trained=None, **changes):
        """The files of a search, or of the rest of one."""
        paths = {path.replace("__", "."): value for path, value in changes.items()}
        space = {"space.head_width": [16], "space.unfreeze_depth": [0]}
        config = load_config(None, {**space, "search.max_trials": 16, "search.max_epochs": 9, **paths})
        log, watching = folder / "trials.jsonl", Watching(folder)
        run_search(
            plan_search(config.search),
            config,
            data or engine.data,
            engine.settings,
            trainers=trainers,
            run_directory=folder,
            listener=watching,
            finished=read_records(log) if log.exists() else (),
            executor_of=executor_of,
        )
        if trained is not None:
            trained |= watching.trained
        return lines(folder), out_of_fold(folder), watching.checkpoints

    return run


def lines(folder):
    """What trials.jsonl says, line by line, without clocks and without the folder's name."""
    text = (folder / "trials.jsonl").read_text().replace(str(folder), "")
    records = [json.loads(line)["record"] for line in text.splitlines()]
    return [{name: value for name, value in record.items() if name not in CLOCKS} for record in records]


def out_of_fold(folder):
    return {
        file.name: {name: (values.dtype.str, values.tobytes()) for name, values in load_checked_npz(file).items()}
        for file in (folder / "oof").iterdir()
    }


@pytest.fixture(scope="module")
def known():
    return {"space__known": [WILD, {**WILD, "learning_rate": 0.01}, {**WILD, "dropout": 0.2}]}


@pytest.fixture(scope="module")
def expected(search, known, tmp_path_factory):
    return search(tmp_path_factory.mktemp("one-after-the-other"), **known)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_arrival_changes_no_file(search, known, expected, tmp_path, seed):
    found = search(tmp_path, lambda worker: Shuffled(worker, seed), **known)
    assert found == expected
    records = read_records(tmp_path / "trials.jsonl")
    assert {record.bracket for record in records} > {0}, "brackets were interleaved"
    failed = [record for record in records if record.status == "failed"]
    assert len(failed) == 2
    assert all("of fold 1" in record.error for record in failed), "the first fold says why, whichever failed first"
    assert {path.name for path in tmp_path.iterdir()} == {"trials.jsonl", "oof", "search", "checkpoints"}
    assert [int(each.name) for each in (tmp_path / "checkpoints").iterdir()] == [best_trial(records).trial]


@pytest.mark.parametrize(("seed", "results"), [(0, 9), (1, 17), (2, 23), (3, 13)])
def test_a_kill_between_an_early_result_and_its_turn_loses_nothing(search, known, expected, tmp_path, seed, results):
    with pytest.raises(Killed):
        search(tmp_path, lambda worker: Shuffled(worker, seed, results), **known)
    log = tmp_path / "trials.jsonl"
    written = {record.trial for record in read_records(log)} if log.exists() else set()
    early = {folder.name for folder in (tmp_path / "in_flight").iterdir() if len(list(folder.iterdir())) == 2}
    assert early, "no trial was complete before its turn"
    assert not {f"{trial:04d}" for trial in written} & early
    trained = set()
    table, logits, _ = search(tmp_path, trained=trained, **known)
    assert (table, logits) == expected[:2]
    assert not trained & early, "nothing that was complete is trained again"


@pytest.mark.parametrize("seed", range(2))
def test_failures_in_a_row_are_counted_in_the_order_of_the_plan(engine, search, tmp_path, seed):
    bank = engine.data.banks[1]
    spoilt = replace(engine.data, banks={**engine.data.banks, 1: replace(bank, values=bank.values[:20])})
    deep = {**WILD, "learning_rate": 0.01, "unfreeze_depth": 1}
    apart = [deep, {**deep, "dropout": 0.2}, {**deep, "unfreeze_depth": 0}, {**deep, "l2": 0.1}]
    options = {"data": spoilt, "search__max_epochs": 3, "space__known": apart}
    for name in ("one", "any"):
        (tmp_path / name).mkdir()
    expected = search(tmp_path / "one", **options)
    assert [record["status"] for record in expected[0]].count("failed") == 3
    assert search(tmp_path / "any", lambda worker: Shuffled(worker, seed), **options) == expected
    together = {**options, "space__known": [apart[0], apart[1], apart[3]]}
    with pytest.raises(RunError, match="3 failures in a row"):
        search(tmp_path, lambda worker: Shuffled(worker, seed), **together)
    assert [record["trial"] for record in lines(tmp_path)] == [0, 1, 2]
    mended = search(tmp_path, lambda worker: Shuffled(worker, seed), **{**together, "data": engine.data})
    assert [record["attempt"] for record in mended[0]][:4] == [0, 0, 0, 1]


@pytest.mark.slow
def test_a_gaussian_process_proposes_the_same(search, tmp_path):
    options = {"search__tuner": "bayesian", "search__max_trials": 17, "search__max_epochs": 1}
    for name in ("one", "any"):
        (tmp_path / name).mkdir()
    expected = search(tmp_path / "one", **options)
    assert search(tmp_path / "any", lambda worker: Shuffled(worker, 0), **options) == expected
