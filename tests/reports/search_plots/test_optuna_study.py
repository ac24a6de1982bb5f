from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from reports.errors import ReportError
from reports.search_plots.optuna_export import export_studies
from reports.search_plots.optuna_study import budgets, comparable_trials, study_at
from reports.search_plots.space import covering, observed_space
from tests.support.simulated import SPACE, simulated_trials


def test_a_study_holds_the_runs_of_one_budget_alone() -> None:
    trials = simulated_trials(failed=(7, 20))
    assert budgets(trials) == (30, 10, 4)
    assert budgets(trials, at_least=13) == (10, 4)
    for epochs in budgets(trials):
        expected = [r for r in trials if r.epochs == epochs and r.status == "completed"]
        study = study_at(trials, epochs, SPACE)
        assert [trial.value for trial in study.trials] == [record.objective for record in expected]
        assert [trial.user_attrs["trial"] for trial in study.trials] == [record.trial for record in expected]
        assert [trial.params["dropout"] for trial in study.trials] == [r.hyperparameters["dropout"] for r in expected]
        assert study.best_value == max(record.objective or 0 for record in expected)


def test_on_the_scale_that_was_drawn_a_decade_is_a_decade() -> None:
    trials = simulated_trials()
    study = study_at(trials, 4, SPACE)
    for trial, record in zip(study.trials, comparable_trials(trials, 4), strict=True):
        assert trial.params["learning_rate"] == pytest.approx(math.log10(record.hyperparameters["learning_rate"]))
        assert 64 * 2 ** trial.params["dense_width"] == record.hyperparameters["dense_width"]
    assert study.trials[0].distributions["learning_rate"] == optuna.distributions.FloatDistribution(-4, -1)


@pytest.mark.parametrize("name", ["search.db", "search.log"])
def test_the_exported_file_is_opened_by_optuna_with_every_score_in_its_place(tmp_path: Path, name: str) -> None:
    trials = simulated_trials(failed=(7,))
    path = tmp_path / name
    names = export_studies(trials, SPACE, path, name="demo")
    storage = (
        f"sqlite:///{path}"
        if name.endswith(".db")
        else optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    )
    assert set(optuna.get_all_study_names(storage)) == set(names)
    assert names == ("demo", "demo, trials of 10 epochs", "demo, trials of 4 epochs")
    for study_name, budget in zip(names, (30, 10, 4), strict=True):
        study = optuna.load_study(study_name=study_name, storage=storage)
        assert (study.user_attrs["run_name"], study.user_attrs["epochs"]) == ("demo", budget)
        assert study.best_value == max(r.objective or 0 for r in trials if r.epochs == budget)
        # Whoever reads "trial 21" there finds trial 21.
        assert [trial.number for trial in study.trials] == [record.trial for record in trials]
        for trial, record in zip(study.trials, trials, strict=True):
            ended = "COMPLETE" if record.epochs == budget else "PRUNED"
            assert trial.state.name == ("FAIL" if record.trial == 7 else ended)
            assert trial.value == (record.objective if trial.state.name == "COMPLETE" else None)
            assert trial.params == record.hyperparameters
            assert trial.user_attrs["trial"] == record.trial
            assert len(trial.intermediate_values) == (record.epochs if record.curves else 0)
    # Cut short below the full budget of the plan, none is complete.
    export_studies(trials[:15], SPACE, tmp_path / "cut.log", name="cut", full_epochs=30)
    cut = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "cut.log")))
    states = [trial.state.name for trial in optuna.load_study(study_name="cut", storage=cut).trials]
    assert (states.count("COMPLETE"), states.count("PRUNED")) == (0, 14)


def test_undefined_scores_unknown_hyperparameters_and_values_outside_the_space_are_exported(tmp_path: Path) -> None:
    first, second, *_ = simulated_trials()
    undefined = replace(first, objective=math.nan, curves={"val_macro_auc": ((math.nan,) * 4,)})
    outside = replace(second, hyperparameters={**second.hyperparameters, "learning_rate": 0.5, "schedule": "cosine"})
    export_studies([undefined, outside], SPACE, tmp_path / "odd.log", name="odd")
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "odd.log")))
    states = {t.user_attrs["trial"]: t.state.name for t in optuna.load_study(study_name="odd", storage=storage).trials}
    assert states == {0: "FAIL", 1: "COMPLETE"}


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"\.db"):
        export_studies(simulated_trials(), SPACE, tmp_path / "search.txt", name="x")


def test_a_space_is_widened_to_what_was_run() -> None:
    values = {"dropout": 0.7, "dense_width": 2048, "learning_rate": 0.01}
    record = replace(simulated_trials()[0], hyperparameters=values)
    found = {dimension.name: dimension for dimension in covering(SPACE, [record])}
    assert (found["dropout"].low, found["dropout"].high) == (0.0, 0.7)
    assert found["dense_width"].choices == (64, 128, 256, 512, 1024, 2048)
    assert found["learning_rate"].log


def test_without_a_space_the_runs_show_it() -> None:
    found = {dimension.name: dimension for dimension in observed_space(simulated_trials())}
    assert found["unfreeze_depth"].choices == (0, 1, 2, 3)
    assert found["learning_rate"].log
    assert not found["dropout"].log


def test_without_optuna_the_line_says_how_to_get_it() -> None:
    program = (
        "import sys\n"
        "sys.modules['optuna'] = None\n"
        "from reports.search_plots.optuna_study import MissingOptunaError, has_optuna, require_optuna\n"
        "assert not has_optuna()\n"
        "try: require_optuna()\n"
        "except MissingOptunaError as error: print(error); assert error.exit_code == 1\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert "uv sync --extra plots" in answer.stdout
