from __future__ import annotations

import random
import statistics
from dataclasses import replace

import pytest

from reports.errors import ReportError
from reports.trials import best_trial, fold_objectives, objective_sd, ranked
from tests.support.simulated import simulated_trials


def test_only_full_budget_runs_can_win() -> None:
    records = list(simulated_trials())
    records[0] = replace(records[0], objective=0.99)  # stopped after 4 of 30 epochs
    winner = best_trial(records)
    assert winner.epochs == 30
    assert winner.objective == max(record.objective for record in records if record.epochs == 30 and record.objective)


def test_of_two_equal_runs_the_lower_number_wins_whatever_the_order() -> None:
    records = [replace(record, objective=0.7) for record in simulated_trials(failed=())]
    full = [record.trial for record in records if record.epochs == 30]
    random.Random(0).shuffle(records)
    assert best_trial(records).trial == min(full)
    assert [record.trial for record in ranked(records)] == full


def test_a_search_without_a_full_run_compares_its_longest_ones() -> None:
    records = [record for record in simulated_trials() if record.epochs < 30]
    assert best_trial(records).epochs == 10


def test_no_completed_run_is_said_with_its_cause() -> None:
    records = [replace(record, status="failed", objective=None, error="out of memory") for record in simulated_trials()]
    with pytest.raises(ReportError, match="38 trials, none completed") as caught:
        best_trial(records)
    assert "out of memory" in str(caught.value)


def test_the_spread_is_over_the_folds_at_the_last_epoch_and_missing_where_there_is_none() -> None:
    records = simulated_trials()
    folds = fold_objectives(records[20])
    assert statistics.fmean(folds) == pytest.approx(records[20].objective)
    assert objective_sd(records[20]) == pytest.approx(statistics.stdev(folds))
    assert objective_sd(records[20]) > 0
    assert objective_sd(records[7]) is None  # failed
    assert [objective_sd(record) for record in simulated_trials(folds=1)] == [None] * 38


def test_a_trial_of_an_older_version_is_shown_at_the_epoch_that_it_was_scored_by() -> None:
    record = replace(simulated_trials()[20], scored_epoch=2)
    assert record.objective_epoch == 2
    assert fold_objectives(record) == tuple(fold[1] for fold in record.curves["val_macro_auc"])
