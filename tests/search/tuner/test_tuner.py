"""The trial runner under each oracle, with failures, known configurations and a time budget."""

import errno
import os
from dataclasses import replace
from functools import partial

import pytest

from search.config.reading import load_config
from search.plan.hyperband import plan_hyperband
from search.plan.protocol import plan_search
from tests.support.slow import slow


class Silent:
    def trial_begins(self, run, assignment, configuration): ...

    def epoch_ended(self, run, fold, epoch): ...

    def trial_ended(self, record): ...


@pytest.fixture(scope="module")
def trainers(engine):
    from search.trials.worker import TrainerPool

    return TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="sgd")


def search(engine, trainers, directory, settings=None, listener=None, finished=(), ended_after=None, **changes):
    from search.tuner.search import run_search

    paths = {path.replace("__", "."): value for path, value in changes.items()}
    config = load_config(
        None,
        {
            "space.head_width": [16],
            "space.unfreeze_depth": [0, 1],
            "search.max_trials": 9,
            "search.max_epochs": 9,
            **paths,
        },
    )
    return run_search(
        plan_search(config.search),
        config,
        engine.data,
        settings or engine.settings,
        trainers=trainers,
        run_directory=directory,
        listener=listener or Silent(),
        finished=finished,
        ended_after=ended_after,
    )


def without_clocks(records):
    return [replace(record, started="", seconds=0, overhead_seconds=0) for record in records]


@pytest.mark.parametrize("tuner", ["bayesian", *slow("random")])
def test_every_run_of_another_tuner_is_trained_to_the_full_budget(engine, trainers, tmp_path, tuner):
    outcome = search(engine, trainers, tmp_path, search__tuner=tuner, search__max_trials=4)
    assert [record.epochs for record in outcome.records] == [9] * 4
    assert outcome.winner.objective == max(record.objective for record in outcome.records)
    assert kept_trials(tmp_path) == [outcome.winner.trial], "for its fold models"


def kept_trials(folder):
    return [int(each.name) for each in (folder / "checkpoints").glob("*")]


def test_no_more_checkpoints_are_kept_than_the_plan_says_and_the_winners_at_the_end(engine, trainers, tmp_path):
    from search.protocols.expected_banks import checkpoint_peak

    kept = []

    class Counting(Silent):
        def epoch_ended(self, run, fold, epoch):
            kept.append(len(list((tmp_path / "checkpoints").glob("*"))))

    outcome = search(engine, trainers, tmp_path, listener=Counting())
    assert 0 < max(kept) <= checkpoint_peak(plan_hyperband(9, max_epochs=9))
    assert kept_trials(tmp_path) == [outcome.winner.trial]


def test_building_a_graph_is_counted_apart(engine, tmp_path):
    from search.trials.worker import TrainerPool

    fresh = TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="sgd")
    records = search(engine, fresh, tmp_path, space__unfreeze_depth=[0], search__max_epochs=1).records
    assert records[0].build_seconds > max(record.build_seconds for record in records[1:])
    assert all(record.overhead_seconds + record.build_seconds < record.seconds for record in records)


@pytest.mark.parametrize("tuner", ["hyperband", *slow("random", "bayesian")])
def test_known_configurations_are_tried_first(engine, trainers, tmp_path, tuner):
    known = {"head_width": 16, "dropout": 0.25, "l2": 0.5, "learning_rate": 0.7, "unfreeze_depth": 1}
    changes = {"search__tuner": tuner, "search__max_trials": 2, "search__max_epochs": 1}
    outcome = search(engine, trainers, tmp_path, space__known=[known], **changes)
    assert outcome.records[0].hyperparameters == known
    assert outcome.records[1].hyperparameters != known


@pytest.mark.parametrize("tuner", ["hyperband", "random", "bayesian"])
def test_no_run_starts_after_the_time_is_up(engine, trainers, tmp_path, tuner):
    outcome = search(engine, trainers, tmp_path, search__max_minutes=1e-9, search__tuner=tuner, search__max_epochs=1)
    assert len(outcome.records) == 1
    assert outcome.winner == outcome.records[0]
    assert outcome.cut_short


@pytest.mark.parametrize("tuner", ["hyperband", *slow("random", "bayesian")])
def test_a_search_that_ends_within_its_time_is_not_cut_short(engine, trainers, tmp_path, tuner):
    changes = {"search__tuner": tuner, "search__max_trials": 2, "search__max_epochs": 1}
    outcome = search(engine, trainers, tmp_path, search__max_minutes=1000, **changes)
    assert len(outcome.records) == 2
    assert not outcome.cut_short


@pytest.mark.parametrize("tuner", ["hyperband", *slow("bayesian")])
def test_time_before_an_interruption_is_spent(engine, trainers, tmp_path, tuner):
    changes = {"search__tuner": tuner, "search__max_epochs": 1}
    begun = search(engine, trainers, tmp_path / "begun", search__max_minutes=1e-9, **changes)
    (record,) = begun.records
    resumed = search(
        engine, trainers, tmp_path / "late", search__max_minutes=5, finished=[replace(record, seconds=301)], **changes
    )
    assert len(resumed.records) == 1


@pytest.mark.parametrize("tuner", ["hyperband", *slow("bayesian")])
def test_a_search_that_ended_by_the_time_has_ended(engine, trainers, tmp_path, tuner):
    """Its winner has been evaluated since, perhaps: more time, or lost runs, give no other one."""
    changes = {"search__tuner": tuner, "search__max_epochs": 1}
    expected = search(engine, trainers, tmp_path / "whole", **changes).records[:3]
    for kept in (3, 2):
        again = search(
            engine, trainers, tmp_path / f"kept-{kept}", finished=expected[:kept], ended_after=3,
            search__max_minutes=1000, **changes,
        )  # fmt: skip
        assert without_clocks(again.records) == without_clocks(expected)


def test_a_diverging_configuration_fails_alone_and_a_spare_takes_its_place(engine, trainers, tmp_path):
    wild = {"head_width": 16, "dropout": 0.0, "l2": 1e30, "learning_rate": 1e30, "unfreeze_depth": 0}
    outcome = search(engine, trainers, tmp_path, space__known=[wild])
    failed = [record for record in outcome.records if record.status == "failed"]
    assert [record.trial for record in failed] == [0]
    assert "epoch 1 of fold 1" in failed[0].error
    assert len(outcome.records) - len(failed) == plan_hyperband(9, max_epochs=9).trials


def test_a_parent_whose_checkpoint_is_gone_is_trained_again_to_the_same_bits(engine, trainers, tmp_path, monkeypatch):
    from search.trials.checkpoints import CheckpointStore

    expected = search(engine, trainers, tmp_path / "kept")
    monkeypatch.setattr(CheckpointStore, "load", lambda self, run, fold: self.wait())
    found = search(engine, trainers, tmp_path / "lost")
    assert any(record.parent is not None for record in found.records)
    assert without_clocks(found.records) == without_clocks(expected.records)


def test_the_fold_models_of_the_winner_are_read_and_trained_again_only_where_they_are_lost(engine, trainers, tmp_path):
    outcome = search(engine, trainers, tmp_path)
    read, epochs_read = fold_models(engine, trainers, tmp_path, outcome)
    assert epochs_read == []
    for file in (tmp_path / "checkpoints").glob("*/fold-0.safetensors"):
        file.write_bytes(file.read_bytes()[:-1])
    again, epochs_again = fold_models(engine, trainers, tmp_path, outcome)
    assert {fold for fold, _ in epochs_again} == {0}
    assert again.exact
    assert read.exact
    assert [tail.fingerprint for tail in again.tails] == [tail.fingerprint for tail in read.tails]
    assert [tail.losses for tail in again.tails] == [tail.losses for tail in read.tails]


def fold_models(engine, trainers, folder, outcome):
    """As the final stage takes them, and the (fold, epoch) that it trained."""
    from search.final.retrain import Searched, train_fold_models
    from search.trials.checkpoints import load_state
    from search.trials.out_of_fold import read_out_of_fold

    class Keeping:
        def kept(self, name, form, make, *follows_from):
            return form.unpack(form.pack(make()))

    trained = []
    backbone, state_of_fold = None, partial(load_state, folder / "checkpoints", outcome.winner.trial)
    searched = Searched(backbone, engine.data, engine.settings, outcome, trainers, None, state_of_fold)
    stored = read_out_of_fold(folder / "oof", outcome.winner, outcome.records, engine.data.class_names)
    return train_fold_models(searched, stored, Keeping(), on_epoch=lambda *epoch: trained.append(epoch)), trained


def test_a_full_disk_is_one_line_and_the_search_begins_again_where_it_was(engine, trainers, tmp_path, monkeypatch):
    from search.errors import RunError
    from search.run_folder.trial_log import read_records

    expected = search(engine, trainers, tmp_path / "roomy")

    def no_room(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        with pytest.raises(RunError, match="No space left"):
            search(engine, trainers, tmp_path / "full")
    again = search(engine, trainers, tmp_path / "full")
    assert without_clocks(again.records) == without_clocks(expected.records)
    assert len(read_records(tmp_path / "full" / "trials.jsonl")) == len(expected.records)
