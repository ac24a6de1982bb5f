"""Differences of two models on held-out patients, against a loop over the resamples and scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from reports.errors import ReportError
from reports.evaluation.bbc_cv import bbc_cv, corrected_difference
from reports.evaluation.comparison import HeldOut, differences
from reports.figures.forests import draw_comparison
from reports.figures.style import save
from reports.metrics.intervals import patient_weights
from reports.metrics.table import classification_metrics
from reports.predictions import Predictions
from tests.support.comparing import has_margins
from tests.support.simulated import simulated_predictions

GOOD = simulated_predictions(patients=40, seed=3, separation=1.5)
ORDER = np.random.default_rng(1).permutation(len(GOOD))
FOLDS = np.arange(len(GOOD)) // 2 % 4


def blurred(table: Predictions, seed: int = 0, most: float = 0.6) -> Predictions:
    noise = np.random.default_rng(seed).uniform(0, most, size=table.probabilities.shape)
    mixed = table.probabilities + noise
    return replace(table, probabilities=mixed / mixed.sum(axis=1, keepdims=True))


OTHER = blurred(GOOD)


def drawn(table: Predictions, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of a resample, each image as often as its patient was drawn."""
    rows = np.repeat(np.arange(len(table)), weights.astype(int))
    return table.labels[rows], table.probabilities[rows]


def auc(table: Predictions, weights: np.ndarray) -> float:
    labels, scores = drawn(table, weights)
    return float(roc_auc_score(labels == 2, scores[:, 2])) if 0 < (labels == 2).sum() < len(labels) else np.nan


def assert_limits(found, values: list[float]) -> None:
    good = np.array(values)[np.isfinite(values)]
    assert [found.lower, found.upper] == pytest.approx(np.quantile(good, [0.025, 0.975]).tolist(), abs=1e-12)


def test_a_paired_difference_is_that_of_a_loop_over_the_same_resamples() -> None:
    found = differences(HeldOut(GOOD), HeldOut(OTHER.take(ORDER)), ("primary_auc", "log_loss"), resamples=200, seed=5)
    weights = patient_weights(GOOD.patient_ids, resamples=200, seed=5)
    ones = np.ones(len(GOOD))
    assert found["primary_auc"].value == pytest.approx(auc(GOOD, ones) - auc(OTHER, ones), abs=1e-12)
    assert_limits(found["primary_auc"], [auc(GOOD, each) - auc(OTHER, each) for each in weights])
    losses = [[log_loss(*drawn(table, each), labels=[0, 1, 2]) for table in (GOOD, OTHER)] for each in weights]
    assert_limits(found["log_loss"], [first - second for first, second in losses])


def test_a_nested_difference_is_of_means_over_folds_with_patients_drawn_within_theirs() -> None:
    first, second = HeldOut(GOOD, FOLDS), HeldOut(OTHER.take(ORDER), FOLDS[ORDER])
    found = differences(first, second, ("primary_auc",), resamples=100, seed=5)["primary_auc"]

    def mean(table: Predictions, weights: np.ndarray) -> float:
        return float(np.nanmean([auc(table, weights * (fold == FOLDS)) for fold in range(4)]))

    weights = patient_weights(GOOD.patient_ids, resamples=100, seed=5, folds=FOLDS)
    ones = np.ones(len(GOOD))
    assert found.value == pytest.approx(mean(GOOD, ones) - mean(OTHER, ones), abs=1e-12)
    assert_limits(found, [mean(GOOD, each) - mean(OTHER, each) for each in weights])


def test_other_patients_are_drawn_apart_and_the_interval_is_wider() -> None:
    renamed = replace(OTHER, patient_ids=tuple(f"other {name}" for name in OTHER.patient_ids))
    with pytest.raises(ReportError, match="different ones for the same image names"):
        differences(HeldOut(GOOD), HeldOut(renamed))
    apart = differences(HeldOut(GOOD), HeldOut(renamed), ("primary_auc",), paired=False, resamples=300)["primary_auc"]
    weights, others = (patient_weights(GOOD.patient_ids, resamples=300, seed=seed) for seed in (0, 1))
    both = zip(weights, others, strict=True)
    assert_limits(apart, [auc(GOOD, one) - auc(OTHER, another) for one, another in both])
    close = differences(HeldOut(GOOD), HeldOut(blurred(GOOD, most=0.1)), ("primary_auc",))["primary_auc"]
    assert close.upper - close.lower < 0.6 * (apart.upper - apart.lower)


def test_a_model_has_nothing_over_itself() -> None:
    found = differences(HeldOut(GOOD), HeldOut(GOOD.take(ORDER)), resamples=50)
    assert all([each.value, each.lower, each.upper] == pytest.approx([0, 0, 0], abs=1e-12) for each in found.values())


def test_the_choice_of_two_searches_is_compared_on_the_same_resamples() -> None:
    def search(seed: int, most: float) -> np.ndarray:
        return np.stack([blurred(GOOD, 10 * seed + number, most).probabilities for number in range(4)])

    strong, weak = search(1, 0.3), search(2, 3.0)
    cases = GOOD.labels, GOOD.patient_ids, FOLDS
    found = corrected_difference(cases[0], (strong, weak), *cases[1:], resamples=300, seed=7)
    alone = [bbc_cv(cases[0], each, *cases[1:], resamples=300, seed=7).corrected.value for each in (strong, weak)]
    assert found.value == pytest.approx(alone[0] - alone[1])
    assert found.lower > 0
    same = corrected_difference(cases[0], (strong, strong), *cases[1:], resamples=50)
    assert [same.value, same.lower, same.upper] == [0, 0, 0]


def test_the_figure_of_runs_keeps_its_margins_whatever_is_not_defined(tmp_path: Path) -> None:
    metrics = [{"value": 0.8, "lower": 0.7, "upper": 0.9}, {"value": None, "lower": None, "upper": None}]
    both = [{"primary_auc": each, "macro_ovr_auc": each} for each in metrics]
    table = classification_metrics(GOOD)
    runs = [(f"a run of a rather long name {number}", table | both[number % 2]) for number in range(3)]
    assert has_margins(save(draw_comparison(runs, both[::-1]), tmp_path / "c.png"))
