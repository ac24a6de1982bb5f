"""Differences of two models on held-out patients, against a loop over the patients and scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import log_loss, roc_auc_score

from reports.errors import ReportError
from reports.evaluation.bbc_cv import bbc_cv, corrected_difference
from reports.evaluation.comparison import HeldOut, differences
from reports.figures.forests import draw_comparison
from reports.figures.style import save
from reports.metrics.intervals import Interval
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


def auc(table: Predictions, rows: np.ndarray) -> float:
    positive = table.labels[rows] == 2
    return (
        float(roc_auc_score(positive, table.probabilities[rows, 2])) if 0 < positive.sum() < len(positive) else np.nan
    )


Value = Callable[[np.ndarray], float]


def without_each(value: Value, folds: np.ndarray | None = None) -> tuple[np.ndarray, float, float]:
    """A figure without each patient of GOOD in turn, centred within strata, its variance and degrees of freedom."""
    patients = np.array(GOOD.patient_ids)
    names = np.unique(patients)
    part = np.zeros(len(GOOD), np.int64) if folds is None else folds
    strata = [(part[patients == name][0], GOOD.labels[patients == name].max()) for name in names]
    single = [stratum for stratum in strata if strata.count(stratum) == 1]
    if len(single) == 1:
        single.append(max(sorted(set(strata)), key=strata.count))
    strata = [None if stratum in single else stratum for stratum in strata]
    left_out = np.array([value(patients != name) for name in names])
    normal = moments = 0.0
    for stratum in set(strata):
        here = np.array([each == stratum for each in strata])
        n = here.sum()
        left_out[here] = (left_out[here] - left_out[here].mean()) * np.sqrt((n - 1) / n)
        normal += (left_out[here] ** 2).sum() ** 2 / (n - 1)
        moments += n * np.var(left_out[here] ** 2, ddof=1) / 2
    variance = float((left_out**2).sum())
    return left_out, variance, variance**2 / np.mean([normal, max(normal, moments)])


def assert_auc_difference(found: Interval, first: Value, second: Value, folds: np.ndarray | None = None) -> None:
    """The wider of Zou and Donner's limits, from each one's on the logit scale, and of the t interval."""
    everyone, sides, moves = np.ones(len(GOOD), bool), [], []
    for value in (first, second):
        at = value(everyone)
        moved, variance, freedom = without_each(value, folds)
        half = stats.t.ppf(0.975, freedom) * variance**0.5 / (at * (1 - at))
        limits = [1 / (1 + np.exp(-(np.log(at / (1 - at)) + side * half))) for side in (-1, 1)]
        sides.append((at - limits[0], limits[1] - at))
        moves.append(moved)
    r = moves[0] @ moves[1] / np.sqrt((moves[0] @ moves[0]) * (moves[1] @ moves[1]))
    difference = first(everyone) - second(everyone)
    down, up = ((sides[0][k], sides[1][1 - k]) for k in (0, 1))
    lower, upper = (np.sqrt(a**2 + b**2 - 2 * r * a * b) for a, b in (down, up))
    _, variance, freedom = without_each(lambda rows: first(rows) - second(rows), folds)
    half = stats.t.ppf(0.975, freedom) * variance**0.5
    expected = [difference, difference - max(lower, half), difference + max(upper, half)]
    assert [found.value, found.lower, found.upper] == pytest.approx(expected, abs=1e-10)


def test_a_paired_difference_is_that_of_a_loop_over_the_patients() -> None:
    found = differences(HeldOut(GOOD), HeldOut(OTHER.take(ORDER)), ("primary_auc", "log_loss"))
    assert_auc_difference(found["primary_auc"], partial(auc, GOOD), partial(auc, OTHER))

    def loss(rows: np.ndarray) -> float:
        each = [log_loss(table.labels[rows], table.probabilities[rows], labels=[0, 1, 2]) for table in (GOOD, OTHER)]
        return each[0] - each[1]

    _, variance, freedom = without_each(loss)
    half = stats.t.ppf(0.975, freedom) * variance**0.5
    value = loss(np.ones(len(GOOD), bool))
    limits = found["log_loss"]
    assert [limits.value, limits.lower, limits.upper] == pytest.approx([value, value - half, value + half], abs=1e-10)


def test_a_nested_difference_is_of_means_over_folds() -> None:
    first, second = HeldOut(GOOD, FOLDS), HeldOut(OTHER.take(ORDER), FOLDS[ORDER])
    found = differences(first, second, ("primary_auc",))["primary_auc"]

    def mean(table: Predictions, rows: np.ndarray) -> float:
        return float(np.nanmean([auc(table, rows & (fold == FOLDS)) for fold in range(4)]))

    assert_auc_difference(found, partial(mean, GOOD), partial(mean, OTHER), FOLDS)


def test_other_patients_vary_apart_and_the_interval_is_wider() -> None:
    renamed = replace(OTHER, patient_ids=tuple(f"other {name}" for name in OTHER.patient_ids))
    with pytest.raises(ReportError, match="different ones for the same image names"):
        differences(HeldOut(GOOD), HeldOut(renamed))
    apart = differences(HeldOut(GOOD), HeldOut(renamed), ("primary_auc",), paired=False)["primary_auc"]
    variances = [without_each(partial(auc, table))[1] for table in (GOOD, OTHER)]
    assert apart.upper - apart.lower > 2 * 1.96 * sum(variances) ** 0.5
    close = differences(HeldOut(GOOD), HeldOut(blurred(GOOD, most=0.1)), ("primary_auc",))["primary_auc"]
    assert close.upper - close.lower < 0.6 * (apart.upper - apart.lower)


def test_models_of_other_images_are_not_paired() -> None:
    with pytest.raises(ReportError, match="only one of them has"):
        differences(HeldOut(GOOD), HeldOut(OTHER.take(range(10))))


def test_a_model_has_nothing_over_itself() -> None:
    found = differences(HeldOut(GOOD), HeldOut(GOOD.take(ORDER)))
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
