"""Trials that the objective and the primary endpoint rank differently, made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from reports.evaluation.ranking import fold_primary_auc, ranking
from reports.predictions import Predictions
from reports.trials import TrialRecord
from tests.support.simulated import simulated_predictions

TABLE = simulated_predictions(patients=60, seed=2)
FOLDS = np.arange(len(TABLE)) // 2 % 3


def trial(number: int, objective: float) -> TrialRecord:
    return TrialRecord(number, number, 0, 0, None, 0, 9, {}, "completed", objective, 9)


def scored(**of: float) -> Predictions:
    """Predictions whose malignant score is the truth, blurred by so much noise."""
    noise = np.random.default_rng(0).uniform(-1, 1, len(TABLE))
    malignant = np.clip(0.5 + 0.2 * (TABLE.labels == 2) + of["noise"] * noise, 0.01, 0.99)
    rest = (1 - malignant)[:, None] * np.array([0.6, 0.4])
    return replace(TABLE, probabilities=np.column_stack([rest, malignant]))


def test_the_trial_that_the_primary_endpoint_names_is_named_with_both_figures() -> None:
    tables = [scored(noise=0.45), scored(noise=0.15), scored(noise=0.3)]
    found = ranking([trial(4, 0.81), trial(12, 0.79), trial(2, 0.7)], [(table, FOLDS) for table in tables])
    assert found is not None
    assert (found.chosen, found.by_primary) == (4, 12)
    expected = [
        np.mean([roc_auc_score(t.labels[k == FOLDS] == 2, t.probabilities[k == FOLDS, 2]) for k in range(3)])
        for t in tables
    ]
    assert [each.primary_auc for each in found.trials] == pytest.approx(expected)
    assert [(each.trial, each.objective) for each in found.trials] == [(4, 0.81), (12, 0.79), (2, 0.7)]
    assert found.sentence.startswith("By the primary endpoint (malignant versus rest) trial 12 would have been chosen")
    assert f"AUC {expected[1]:.3f} against {expected[0]:.3f} out of fold" in found.sentence


def test_where_both_agree_nothing_else_is_said() -> None:
    found = ranking([trial(4, 0.81), trial(12, 0.79)], [(scored(noise=0.1), FOLDS), (scored(noise=0.4), FOLDS)])
    assert found is not None
    assert found.sentence == "The objective and the primary endpoint name the same full-budget trial, 4."


def test_of_equal_ones_the_objective_s_is_named() -> None:
    same = scored(noise=0.3)
    found = ranking([trial(12, 0.81), trial(4, 0.79)], [(same, FOLDS), (same, FOLDS)])
    assert found is not None
    assert found.by_primary == 12


def test_one_trial_is_not_compared() -> None:
    assert ranking([trial(4, 0.81)], [(TABLE, FOLDS)]) is None
    assert ranking([], []) is None


def test_a_fold_without_a_malignant_image_is_left_out_and_none_is_no_figure() -> None:
    first = TABLE.take(np.flatnonzero((TABLE.labels != 2) | (FOLDS > 0)))
    folds = FOLDS[(TABLE.labels != 2) | (FOLDS > 0)]
    values = [roc_auc_score(first.labels[folds == k] == 2, first.probabilities[folds == k, 2]) for k in (1, 2)]
    assert fold_primary_auc(first, folds) == pytest.approx(np.mean(values))
    none = TABLE.take(np.flatnonzero(TABLE.labels != 2))
    assert fold_primary_auc(none, FOLDS[TABLE.labels != 2]) is None
    pair = (none, FOLDS[TABLE.labels != 2])
    assert ranking([trial(4, 0.81), trial(12, 0.79)], [pair, pair]) is None
