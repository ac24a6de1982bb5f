"""Worker processes: the same files as in one process, whatever their number and cores, and whoever is lost."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from search.config.reading import load_config
from search.errors import RunError
from search.machine.environment import cores, host_memory
from search.machine.libraries import Arithmetic
from search.machine.places import WorkerPlace
from search.plan.protocol import plan_search
from search.run_folder.trial_log import read_records
from tests.search.tuner.test_order_of_arrival import lines, out_of_fold
from tests.support.slow import slow

SHAPES = {"space.head_width": [16], "space.unfreeze_depth": [0, 1]}


class Heard:
    """A listener that keeps what it is told, and does something when an epoch of a fold has ended."""

    def __init__(self, then=lambda trial, fold, epoch: None):
        self.epochs, self._then = [], then

    def trial_begins(self, trial, assignment, configuration): ...

    def epoch_ended(self, trial, fold, epoch):
        self.epochs.append((trial, fold, epoch))
        self._then(trial, fold, epoch)

    def trial_ended(self, record): ...


@pytest.fixture(scope="module")
def search(engine):
    from search.trials.worker import TrainerPool
    from search.tuner.executors.in_process import InProcessExecutor
    from search.tuner.search import run_search

    trainers = TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="sgd")

    def run(folder, executor_of=InProcessExecutor, listener=None, **settings):
        paths = {path.replace("__", "."): value for path, value in settings.items()}
        config = load_config(None, {**SHAPES, "search.max_trials": 12, "search.max_epochs": 9, **paths})
        log = folder / "trials.jsonl"
        outcome = run_search(
            plan_search(config.search),
            config,
            engine.data,
            engine.settings,
            trainers=trainers,
            run_directory=folder,
            listener=listener or Heard(),
            finished=read_records(log) if log.exists() else (),
            executor_of=executor_of,
        )
        return lines(folder), out_of_fold(folder), outcome.winner.trial, states(folder)

    return run


def states(folder):
    """What has been kept of the winner's folds, to the bit."""
    return {file.name: file.read_bytes() for file in sorted((folder / "checkpoints").glob("*/fold-*"))}


@pytest.fixture(scope="module")
def expected(search, tmp_path_factory):
    return search(tmp_path_factory.mktemp("in-process"))


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """Two workers, one on one core and one on all, which all tests of this file share."""
    from search.tuner.executors.processes import WorkerProcesses

    one = tuple(os.sched_getaffinity(0))[:1] if hasattr(os, "sched_getaffinity") else ()
    places, said = [WorkerPlace("worker 1", 1, pinned=one), WorkerPlace("worker 2", cores())], []
    settings = {"arithmetic": Arithmetic(cores()), "deterministic": True, "say": said.append}
    with WorkerProcesses(places, tmp_path_factory.mktemp("logs"), **settings) as started:
        started.said = said
        yield started


@pytest.fixture
def executor_of(processes):
    from search.tuner.executors.processes import ProcessExecutor

    processes.said.clear()
    return lambda worker: ProcessExecutor(worker, processes)


def test_two_workers_leave_the_files_of_one_process(search, expected, executor_of, tmp_path):
    heard = Heard()
    assert search(tmp_path, executor_of, heard) == expected
    told = [number for number, *_ in heard.epochs]
    assert told != sorted(told), "trials were in training beside each other"
    for trial, fold in {epoch[:2] for epoch in heard.epochs}:
        epochs = [number for *where, number in heard.epochs if where == [trial, fold]]
        assert epochs == sorted(epochs), "each fold's epochs are told in their order"


@pytest.mark.slow
def test_what_follows_a_search_is_the_same_too(engine, executor_of, tmp_path):
    from search.final.baselines.fixed import FixedFoldWork, fixed_settings
    from search.final.retrain import ModelWork
    from search.plan.space import Configuration
    from search.trials.worker import TrainerPool, Worker
    from search.tuner.executors.base import carry_out
    from search.tuner.executors.in_process import InProcessExecutor

    trainers = TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="adam")
    worker = Worker(engine.data, engine.settings, trainers, tmp_path)
    chosen, fixed = Configuration(16, 0.2, 1e-4, 1e-3, 1), Configuration(0, 0.0, 0.0, 0.003, 1)
    works = [ModelWork(chosen, engine.settings, 2, number) for number in range(3)]
    works += [FixedFoldWork(fixed, replace(fixed_settings(engine.settings), full_epochs=2), fold) for fold in range(2)]
    works += [ModelWork(fixed, fixed_settings(engine.settings), 2, 0, "sgd")]
    here, there = carry_out(InProcessExecutor(worker), works), carry_out(executor_of(worker), works)
    for one, other in zip(here, there, strict=True):
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
        else:
            assert one.fingerprint == other.fingerprint
            assert one.losses == other.losses


@pytest.mark.parametrize("killed", [(3, 1, 2), *slow((0, 0, 1))])
def test_a_worker_killed_in_mid_fold_costs_that_fold_alone(search, expected, processes, executor_of, tmp_path, killed):
    left = [killed]

    def kill(*epoch):
        if epoch in left:
            left.clear()
            (process,) = [
                each
                for each in processes.all
                if each.task and (each.task.work.assignment.trial, each.task.work.fold) == epoch[:2]
            ]
            os.kill(process.child.process_id, signal.SIGKILL)

    heard = Heard(kill)
    assert search(tmp_path, executor_of, heard) == expected
    assert not left
    (said,) = processes.said
    assert "was lost, killed" in said
    assert "given to another" in said
    again = {epoch for epoch in heard.epochs if heard.epochs.count(epoch) > 1}
    assert {epoch[:2] for epoch in again} <= {killed[:2]}, "no other fold is trained twice"


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_and_its_fold_given_to_another(
    search, expected, processes, executor_of, tmp_path, monkeypatch
):
    from search.tuner.executors import processes as module

    stopped = []

    def stop(trial, fold, epoch):
        if trial == 1 and not stopped:
            stopped.extend(each.child.process_id for each in processes.all if each.task.work.assignment.trial == 1)
            os.kill(stopped[0], signal.SIGSTOP)
            monkeypatch.setattr(module, "SILENT_SECONDS", 6.0)

    assert search(tmp_path, executor_of, Heard(stop)) == expected
    assert any("silent for 6 s" in each for each in processes.said)
    assert stopped[0] not in [each.child.process_id for each in processes.all if each.child]


@pytest.mark.slow
def test_a_fold_that_takes_three_workers_with_it_fails_its_trial_and_the_search_goes_on(
    search, processes, executor_of, tmp_path
):
    def kill(trial, fold, epoch):
        if (trial, fold) == (0, 1):
            for each in processes.all:
                if each.task and (each.task.work.assignment.trial, each.task.work.fold) == (0, 1):
                    os.kill(each.child.process_id, signal.SIGKILL)

    search(tmp_path, executor_of, Heard(kill), search__max_epochs=1, search__max_trials=4)
    first, *others = read_records(tmp_path / "trials.jsonl")
    assert first.status == "failed"
    assert "three workers were lost with it" in first.error
    assert first.error.endswith("try fewer --workers, or --set search.batch_size=4 as a run of another --name")
    assert {record.status for record in others} == {"completed"}
    assert len(processes.said) == 2


def test_memory_that_runs_out_in_a_worker_is_told_as_in_one_process_with_the_setting_that_fits(
    engine, executor_of, tmp_path
):
    from search.plan.device_memory import MemoryDemand, what_fits
    from search.plan.execution import Assignment
    from search.plan.space import Configuration
    from search.trials.worker import FoldWork, Worker
    from search.tuner.executors.base import carry_out
    from search.tuner.executors.in_process import InProcessExecutor
    from tests.support.without_memory import PoolWithoutMemory

    config = load_config(None, {"preparation.image_size": 896, "search.batch_size": 4096})
    demand = MemoryDemand(config, "float32")
    trainers = PoolWithoutMemory(engine.architecture, engine.weights, engine.data, optimizer="sgd", demand=demand)
    worker = Worker(engine.data, engine.settings, trainers, tmp_path)
    work = FoldWork(Assignment(0, 0, 0, 0, None, 0, 1), Configuration(16, 0.1, 1e-4, 0.01, 0), 0)
    (here,), (there,) = carry_out(InProcessExecutor(worker), [work]), carry_out(executor_of(worker), [work])
    assert here.failure.error == there.failure.error
    fits = what_fits(config, host_memory(), "float32")
    assert fits not in (None, "--set search.batch_size=2048"), "not half, but what is expected to fit"
    words = f"out of memory with 8 images a step at unfreeze depth 0; try {fits}, as a run of another --name"
    assert there.failure.error == words


@pytest.mark.slow
def test_a_search_that_ends_early_leaves_no_worker_at_work_and_goes_on_to_the_same_files(
    search, expected, processes, executor_of, tmp_path
):
    class Interrupted(BaseException):
        pass

    def interrupt(trial, fold, epoch):
        if trial == 4:
            raise Interrupted

    with pytest.raises(Interrupted):
        search(tmp_path, executor_of, Heard(interrupt))
    assert all(process.task is None for process in processes.all)
    assert search(tmp_path, executor_of) == expected


def test_workers_that_cannot_start_end_the_search_in_a_line_and_no_trial_is_blamed(search, tmp_path):
    from search.tuner.executors.processes import ProcessExecutor, WorkerProcesses

    said = []
    places = [WorkerPlace("worker 1", 1, {"PYTHONHOME": str(tmp_path / "no Python")})]
    settings = {"arithmetic": Arithmetic(cores()), "deterministic": True, "say": said.append}
    with (
        WorkerProcesses(places, tmp_path / "logs", **settings) as broken,
        pytest.raises(RunError, match="a worker to go on with; found none that starts"),
    ):
        search(tmp_path, lambda worker: ProcessExecutor(worker, broken))
    assert [line.startswith("worker 1 did not start, ended with code 1; see ") for line in said] == [True] * 3
    assert not (tmp_path / "trials.jsonl").exists()


def test_an_error_that_every_fold_would_meet_ends_the_search_in_its_own_words(engine, executor_of, tmp_path):
    from search.trials.worker import TrainerPool, Worker
    from search.tuner.executors.base import carry_out

    class Gone:
        name, shape = "what is gone", (0, 16, "")

        def __reduce__(self):
            return open_the_missing, ()

    trainers = TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="sgd")
    worker = Worker(engine.data, engine.settings, trainers, tmp_path)
    with executor_of(worker) as executor, pytest.raises(RunError, match="Expected a bank; found none"):
        carry_out(executor, [Gone()])


def open_the_missing():
    raise RunError(expected="a bank", found="none", remedy="Run again.")
