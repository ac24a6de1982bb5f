"""What is written to SQLite at once is what optuna's own storage writes, one trial after the other."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from reports.search_plots.optuna_export import export_studies
from tests.support.simulated import SPACE, simulated_trials


def test_the_exported_file_holds_what_optuna_writes_trial_by_trial(tmp_path: Path) -> None:
    first, second, *others = simulated_trials(failed=(7,))
    text = replace(first, hyperparameters={**first.hyperparameters, "learning_rate": 0.5, "schedule": "cosine"})
    undefined = replace(second, objective=float("nan"), curves={"val_macro_auc": ((float("nan"),) * 4,)})
    trials = [text, undefined, *(record for record in others if record.trial in (7, 15, 20))]
    names = export_studies(trials, SPACE, tmp_path / "at_once.db", name="demo", full_epochs=30)
    # optuna's journal takes the trials one by one, and copy_study reads them from it and adds them one by one.
    export_studies(trials, SPACE, tmp_path / "journal.log", name="demo", full_epochs=30)
    journal = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log")))
    at_once, one_by_one = (f"sqlite:///{tmp_path / name}" for name in ("at_once.db", "one_by_one.db"))
    for name in names:
        optuna.copy_study(from_study_name=name, from_storage=journal, to_storage=one_by_one)
        read, expected = (optuna.load_study(study_name=name, storage=storage) for storage in (at_once, one_by_one))
        assert read.trials == expected.trials
        assert (read.user_attrs, read.metric_names) == (expected.user_attrs, expected.metric_names)
        assert read.direction == expected.direction
    states = {trial.state.name for trial in optuna.load_study(study_name="demo", storage=at_once).trials}
    assert states == {"COMPLETE", "PRUNED", "FAIL"}
    # And each row of each table, so what any other reader finds.
    assert content(tmp_path / "at_once.db") == content(tmp_path / "one_by_one.db")


def content(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "search.db").write_text("somebody's")
    with pytest.raises(FileExistsError):
        export_studies(simulated_trials()[:1], SPACE, tmp_path / "search.db", name="demo")
    assert (tmp_path / "search.db").read_text() == "somebody's"
