from __future__ import annotations

import random
from dataclasses import replace

import pytest

from reports.errors import ReportError
from reports.trials import best_run, fold_objectives, ranked, trial_table
from tests.support.simulated import simulated_trials


def test_only_full_budget_runs_can_win() -> None:
    records = list(simulated_trials())
    records[0] = replace(records[0], objective=0.99)  # stopped after 4 of 30 epochs
    winner = best_run(records)
    assert winner.epochs == 30
    assert winner.objective == max(record.objective for record in records if record.epochs == 30 and record.objective)


def test_of_two_equal_runs_the_lower_number_wins_whatever_the_order() -> None:
    records = [replace(record, objective=0.7) for record in simulated_trials(failed=())]
    full = [record.trial for record in records if record.epochs == 30]
    random.Random(0).shuffle(records)
    assert best_run(records).trial == min(full)
    assert [record.trial for record in ranked(records)] == full


def test_a_search_without_a_full_run_compares_its_longest_ones() -> None:
    records = [record for record in simulated_trials() if record.epochs < 30]
    assert best_run(records).epochs == 10


def test_no_completed_run_is_said_with_its_cause() -> None:
    records = [replace(record, status="failed", objective=None, error="out of memory") for record in simulated_trials()]
    with pytest.raises(ReportError, match="38 runs, none completed") as caught:
        best_run(records)
    assert "out of memory" in str(caught.value)


def test_the_table_has_a_row_a_run_and_keeps_what_is_missing_missing() -> None:
    records = simulated_trials()
    table = trial_table(tuple(reversed(records)))
    assert list(table["run"]) == list(range(38))
    assert int(table["rank"].notna().sum()) == 10
    assert table.loc[table["rank"] == 1, "run"].item() == best_run(records).trial
    assert table["parent"].isna().sum() == 28
    assert str(table["parent"].dtype) == "Int64"
    failed = table.loc[7]
    assert failed["status"] == "failed"
    assert failed["error"].startswith("the loss was not finite")
    assert table["objective"].isna().sum() == 1
    row = table.loc[20]
    assert row["hyperparameters.learning_rate"] == records[20].hyperparameters["learning_rate"]
    assert sum(fold_objectives(records[20])) / 5 == pytest.approx(row["objective"])
    assert row["objective_sd"] > 0


def test_an_empty_search_is_an_empty_table() -> None:
    assert list(trial_table(()).columns)[:2] == ["run", "configuration"]
    assert len(trial_table(())) == 0
