"""Runs that end in an exception, out of memory, or out of the real numbers: recorded, shown in a line, survived."""

import gc
import resource
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from search.config.reading import load_config
from search.errors import RunError
from search.plan.protocol import plan_search
from search.run_folder.trial_log import read_records


class Screen:
    """What a user would read."""

    def __init__(self):
        self.lines = []

    def trial_begins(self, run, assignment, configuration): ...

    def epoch_ended(self, run, fold, epoch): ...

    def trial_ended(self, record):
        from search.screen.progress import trial_line

        self.lines.append(trial_line(record, 9))


@pytest.fixture(scope="module")
def trainers(engine):
    from search.trials.worker import TrainerPool

    return TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="sgd")


@pytest.fixture
def search(engine, trainers, tmp_path):
    from search.tuner.search import run_search

    def run(folder="run", data=None, settings=None, screen=None, pool=None, **changes):
        paths = {path.replace("__", "."): value for path, value in changes.items()}
        config = load_config(
            None,
            {
                "space.head_width": [16],
                "space.unfreeze_depth": [0],
                "search.max_trials": 4,
                "search.max_epochs": 3,
                **paths,
            },
        )
        log = tmp_path / folder / "trials.jsonl"
        return run_search(
            plan_search(config.search),
            config,
            data or engine.data,
            settings or engine.settings,
            trainers=pool or trainers,
            run_directory=tmp_path / folder,
            listener=screen or Screen(),
            finished=read_records(log) if log.exists() else (),
        )

    return run


def known(**values):
    return {"head_width": 16, "dropout": 0.1, "l2": 1e-4, "learning_rate": 0.01, "unfreeze_depth": 0, **values}


def without_clocks(records):
    return [replace(record, started="", seconds=0, overhead_seconds=0) for record in records]


def cut_short(engine, depth):
    """Data whose bank of one depth ends too early."""
    bank = engine.data.banks[depth]
    return replace(engine.data, banks={**engine.data.banks, depth: replace(bank, values=bank.values[:20])})


def planned_runs(max_trials=4):
    from search.plan.hyperband import plan_hyperband

    return plan_hyperband(max_trials, max_epochs=3).trials


def test_an_exception_in_one_run_is_one_line_and_the_search_goes_on(engine, search, tmp_path):
    screen = Screen()
    outcome = search(data=cut_short(engine, 1), screen=screen, space__known=[known(unfreeze_depth=1)])
    first, *others = outcome.records
    assert first.status == "failed"
    assert first.objective is None
    assert "IndexError" in first.error
    assert len(others) == planned_runs(), "a spare has taken its place"
    assert {record.status for record in others} == {"completed"}
    assert first.error in screen.lines[0]
    assert "\n" not in screen.lines[0]
    traceback = Path(first.error.split("traceback in ")[1].rstrip(")")).read_text()
    assert "Traceback" in traceback
    assert "learning_rate=0.01" in traceback


def test_three_in_a_row_stop_the_search_and_mended_it_goes_on_as_if_nothing_had_been(engine, search, tmp_path):
    expected = search("whole", search__max_trials=6)
    searched = {"search__max_trials": 6}
    with pytest.raises(RunError, match=r"3 failures in a row.*IndexError.*Mend the cause; the same command"):
        search(data=cut_short(engine, 0), **searched)
    log = tmp_path / "run" / "trials.jsonl"
    assert [record.status for record in read_records(log)] == ["failed"] * 3
    with pytest.raises(RunError, match="3 failures in a row"):
        search(data=cut_short(engine, 0), **searched)
    outcome = search(**searched)
    assert without_clocks(outcome.records) == without_clocks(expected.records)
    assert without_clocks(read_records(log)) == without_clocks(expected.records)


def test_two_failures_of_different_times_are_no_row(engine, search):
    spoilt = [known(unfreeze_depth=1), known(unfreeze_depth=1, dropout=0.2), known(), known(unfreeze_depth=1, l2=0.1)]
    outcome = search(data=cut_short(engine, 1), space__known=spoilt, search__tuner="random")
    assert [record.status for record in outcome.records[:4]] == ["failed", "failed", "completed", "failed"]


def test_a_learning_rate_that_diverges_is_recorded_with_its_epoch_and_never_stops_a_search(engine, search, tmp_path):
    # Five in a row, more than the spares: the rung is filled with what there is.
    wild = [known(learning_rate=rate) for rate in (1e18, 2e18, 3e18, 4e18, 5e18)]
    screen = Screen()
    outcome = search(screen=screen, space__known=wild, search__max_trials=9)
    failed = [record for record in outcome.records if record.status == "failed"]
    assert len(failed) == 5
    for record in failed:
        assert record.diverged_epoch >= 1
        assert f"in epoch {record.diverged_epoch} of fold 1" in record.error
        assert record.objective is None
    promoted = {record.parent for record in outcome.records} - {None}
    assert promoted
    assert not promoted & {record.trial for record in failed}
    assert outcome.winner.epochs == 3
    assert not (tmp_path / "run" / "failures").exists(), "it is an outcome, no fault of the program"


@pytest.mark.slow
def test_a_gaussian_process_takes_a_diverged_run_for_the_worst(engine, search):
    wild = {"space__learning_rate": {"min": 1e-3, "max": 1e20, "sampling": "log"}}
    outcome = search(search__tuner="bayesian", search__max_trials=19, search__max_epochs=1, **wild)
    late = [record for record in outcome.records if record.trial >= 15]
    assert any(record.diverged_epoch for record in outcome.records)
    assert sum(record.diverged_epoch is None for record in late) >= len(late) / 2


@pytest.mark.slow
def test_a_stopped_bayesian_search_proposes_what_it_would_have(engine, search, tmp_path):
    options = {"search__tuner": "bayesian", "search__max_trials": 17, "search__max_epochs": 1}
    expected = search("whole", **options)
    log = tmp_path / "run" / "trials.jsonl"
    log.parent.mkdir()
    lines = (tmp_path / "whole" / "trials.jsonl").read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:16]))
    assert without_clocks(search(**options).records) == without_clocks(expected.records)


def without_a_class(engine):
    """Data whose folds never validate on the last class: no objective is defined."""
    folds = tuple(
        (training, validation[engine.data.labels[validation] != 2]) for training, validation in engine.data.folds
    )
    return replace(engine.data, folds=folds)


def test_runs_without_a_defined_objective_have_failed_live_and_resumed(engine, search, tmp_path):
    from search.tuner.tuner import NO_OBJECTIVE

    with pytest.raises(RunError, match="3 failures in a row, the last: val_macro_auc is not defined"):
        search(data=without_a_class(engine), search__max_trials=6)
    log = tmp_path / "run" / "trials.jsonl"
    live = read_records(log)
    assert [(record.status, record.objective, record.error) for record in live] == [("failed", None, NO_OBJECTIVE)] * 3
    log.write_text(log.read_text().splitlines(keepends=True)[0])
    with pytest.raises(RunError, match="3 failures in a row"):
        search(data=without_a_class(engine), search__max_trials=6)
    again = read_records(log)
    assert [record.configuration for record in again] == [record.configuration for record in live]
    assert {record.status for record in again} == {"failed"}


def test_a_completed_record_without_an_objective_is_restored_as_the_failure_it_was(tmp_path):
    from reports.trials import TrialRecord
    from search.config.schema import Config
    from search.tuner.search import build_oracle

    config = Config()
    plan = plan_search(config.search)
    oracle = build_oracle(plan, config, seed=0)
    oracle._set_project_dir(tmp_path, "search")
    values = vars(oracle.configurations[0])
    first = plan.brackets[0].rungs[0]
    oracle.restore([TrialRecord(0, 0, 0, 0, None, 0, first.epochs, values, "completed", None, None)])
    assert [(state.status, state.objective) for state in oracle.history] == [("failed", None)]


@pytest.fixture
def little_memory():
    """One GiB more than the process has now: what is absurd then fails, instead of driving the machine to swap.

    Gives the function that lifts the bound.
    """
    gc.collect()  # what earlier tests left would be freed later, and give room for more
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)

    def lift():
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**30, hard))
    yield lift
    lift()


@pytest.mark.slow
def test_out_of_memory_names_the_batch_size_to_try(engine, search, trainers, little_memory):
    class Lifting(Screen):
        def trial_ended(self, record):
            super().trial_ended(record)
            little_memory()

    # The batch itself fits; what the widest head makes of it, 8 GiB at a time, does not. Something smaller might fit
    # here and there, and what matrix products allocate for themselves TensorFlow does not look after: it crashes.
    screen, settings = Lifting(), replace(engine.settings, batch_size=2**18, steps_per_epoch=1)
    wide = [known(head_width=8192)]
    outcome = search(settings=settings, screen=screen, space__known=wide, search__max_trials=2, search__max_epochs=1)
    first, *others = outcome.records
    assert first.error.startswith("out of memory with 262144 images a step")
    assert "try --set search.batch_size=131072" in first.error
    assert first.error in screen.lines[0]
    assert others
    assert {record.status for record in others} == {"completed"}


def test_memory_that_is_too_small_for_the_batch_itself_is_told_as_well(engine, search, little_memory):
    settings = replace(engine.settings, batch_size=2**20, steps_per_epoch=1)
    words = r"out of memory with 1048576 images a step.*try --set search\.batch_size=524288"
    with pytest.raises(RunError, match=words):
        search(settings=settings, space__unfreeze_depth=[1])


def test_a_gpu_without_memory_fails_the_run_and_names_the_batch_size_to_try(engine, search, trainers):
    """TensorFlow's own error with a GPU's words, from where the tail is put on the device."""
    from tests.support.without_memory import GPU_OUT_OF_MEMORY, PoolWithoutMemory

    screen, pool = Screen(), PoolWithoutMemory(engine.architecture, engine.weights, engine.data, optimizer="sgd")
    pool.adopt(trainers)
    outcome = search(screen=screen, pool=pool, space__known=[known()])
    first, *others = outcome.records
    words = "out of memory with 8 images a step at unfreeze depth 0; try --set search.batch_size=4, as a run of another"
    assert first.error.startswith(words)
    assert first.error in screen.lines[0]
    assert GPU_OUT_OF_MEMORY in Path(first.error.split("traceback in ")[1].rstrip(")")).read_text()
    assert {record.status for record in others} == {"completed"}


@pytest.mark.parametrize(
    "text", ["CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED", "RESOURCE_EXHAUSTED: Out of memory"]
)
def test_memory_that_ends_outside_of_a_trial_is_one_line(tmp_path, text):
    import tensorflow as tf

    from search.machine.failures import machine_failures_in_one_line
    from search.plan.device_memory import half_the_batch

    words = r"enough memory.*try --set search\.batch_size=16, as a run of another --name"
    smaller = partial(half_the_batch, 32)
    with pytest.raises(RunError, match=words) as error, machine_failures_in_one_line(tmp_path, smaller=smaller):
        raise tf.errors.InternalError(None, None, text)
    assert "\n" not in str(error.value)


def test_a_final_model_that_diverges_is_one_line(engine, trainers):
    from search.plan.space import Configuration
    from tests.support.retrained import retrain

    wild = Configuration.from_values(known(learning_rate=1e18))
    with pytest.raises(RunError, match="epoch 1 of final 1"):
        retrain(trainers(wild), wild, engine.data, engine.settings, epochs=1, seeds=1)
