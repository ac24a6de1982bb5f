"""Intervals, against scipy, against loops over patients, and against the truth of many small sets."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from reports.metrics.intervals import Interval, clopper_pearson, gamma_limits, mover_limits, student_limits, wilson
from reports.metrics.rates import area_interval, mean_interval, share_interval
from reports.metrics.resampling import MOST_GROUPS, Estimate, Jackknife, patient_weights
from reports.metrics.table_intervals import WITHOUT, MetricIntervals, with_intervals
from tests.support.simulated import simulated_predictions


def test_images_of_a_patient_are_drawn_together_and_every_draw_has_as_many_patients() -> None:
    table = simulated_predictions(patients=40)
    weights = patient_weights(table.patient_ids, resamples=500, seed=1)
    assert np.array_equal(weights[:, ::2], weights[:, 1::2])
    assert (weights[:, ::2].sum(axis=1) == 40).all()
    assert weights.mean() == pytest.approx(1, abs=1e-12)


def by_hand(table, value, *, fixed: bool) -> tuple[float, float, tuple[float, float]]:
    """Value, variance and both degrees of freedom of a figure by a loop that leaves out each patient."""
    patients, labels = np.array(table.patient_ids), table.labels
    names = np.unique(patients)
    worst = np.array([labels[patients == name].max() for name in names])
    left_out = np.array([value(patients != name) for name in names])
    variance, normal, moments = 0.0, 0.0, 0.0
    for stratum in np.unique(worst):
        here = left_out[worst == stratum]
        centre, n = (here.mean(), len(here)) if fixed else (left_out.mean(), len(names))
        squares = (n - 1) / n * (here - centre) ** 2
        variance += squares.sum()
        normal += squares.sum() ** 2 / (len(here) - 1)
        moments += len(here) * np.var(squares, ddof=1) / 2
    freedom = (variance**2 / normal, variance**2 / np.mean([normal, max(normal, moments)]))
    return value(np.ones(len(labels), bool)), variance, freedom


@pytest.mark.parametrize("fixed", [True, False])
def test_an_auc_s_limits_are_those_of_a_loop_that_leaves_out_each_patient(fixed: bool) -> None:
    table = simulated_predictions(patients=30)

    def auc(rows: np.ndarray) -> float:
        return float(roc_auc_score(table.labels[rows] == 2, table.probabilities[rows, 2]))

    value, variance, freedom = by_hand(table, auc, fixed=fixed)
    half = stats.t.ppf(0.975, freedom[1]) * variance**0.5 / (value * (1 - value))
    odds = np.log(value / (1 - value))
    found = MetricIntervals(table, fixed=fixed).interval(("primary_auc",))
    expected = [value, *(1 / (1 + np.exp(-(odds + side * half))) for side in (-1, 1))]
    assert [found.value, found.lower, found.upper] == pytest.approx(expected, abs=1e-10)


def test_a_share_s_limits_are_clopper_and_pearson_s_of_as_many_draws_as_have_its_variance() -> None:
    table = simulated_predictions(patients=40, seed=1)
    right = table.labels == table.predicted
    value, variance, freedom = by_hand(table, lambda rows: float(right[rows].mean()), fixed=True)
    draws = value * (1 - value) / variance * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, freedom[0])) ** 2
    hits = value * draws
    expected = [stats.beta.ppf(0.025, hits, draws - hits + 1), stats.beta.ppf(0.975, hits + 1, draws - hits)]
    found = MetricIntervals(table).interval(("accuracy",))
    assert [found.lower, found.upper] == pytest.approx(expected, abs=1e-10)
    jackknife = Jackknife.of(table.patient_ids, table.labels)
    same = share_interval(right, np.ones(80, bool), table.patient_ids, jackknife)
    assert (same.lower, same.upper) == (found.lower, found.upper)


def test_one_image_a_patient_and_one_stratum_is_the_t_interval_of_a_mean() -> None:
    x = np.random.default_rng(0).uniform(size=50)
    jackknife = Jackknife.of(tuple(str(number) for number in range(50)), np.zeros(50, np.int64))
    expected = stats.t.interval(0.95, 49, x.mean(), stats.sem(x))
    found = mean_interval(x, jackknife)
    assert [found.lower, found.upper] == pytest.approx(expected, abs=1e-10)


def test_strata_of_one_patient_are_put_together() -> None:
    ids = tuple("abcdefg")
    for labels, expected in (
        ([0, 0, 0, 1, 1, 2, 3], [3, 2, 2]),
        ([0, 0, 0, 0, 1, 1, 2], [5, 2]),
        ([0, 1, 2, 3, 4, 5, 6], [7]),
    ):
        strata = Jackknife.of(ids, np.array(labels)).strata
        assert sorted(np.bincount(strata).tolist(), reverse=True) == expected


def test_of_many_patients_groups_are_left_out_and_the_limits_are_nearly_the_same() -> None:
    table = simulated_predictions(patients=1000, seed=3)
    jackknife = Jackknife.of(table.patient_ids, table.labels)
    assert len(jackknife.weights) <= MOST_GROUPS + 1
    assert np.array_equal(jackknife.weights[:, ::2], jackknife.weights[:, 1::2])
    assert (jackknife.weights[1:] == 0).sum(axis=0).tolist() == [1] * 2000
    positive, scores = table.labels == 2, table.probabilities[:, 2]
    found = area_interval(positive, scores, table.patient_ids, jackknife)

    def auc(rows: np.ndarray) -> float:
        return float(roc_auc_score(positive[rows], scores[rows]))

    _, variance, _ = by_hand(table, auc, fixed=True)
    width = 2 * 1.96 * variance**0.5
    assert (found.upper or 0) - (found.lower or 0) == pytest.approx(width, rel=0.1)


def test_the_value_lies_inside_its_interval() -> None:
    for seed in range(6):
        table = simulated_predictions(patients=25, seed=seed, separation=0.5)
        found = MetricIntervals(table).all
        for path, limits in found.items():
            if limits.lower is not None:
                assert limits.value is not None
                assert limits.upper is not None
                assert limits.lower <= limits.value <= limits.upper
            assert path[-1] not in WITHOUT or limits.lower is None
        for path in (("primary_auc",), ("macro_ovr_auc",), ("balanced_accuracy",), ("brier",), ("accuracy",)):
            assert found[path].lower is not None
            assert found[path].upper is not None


def test_patients_make_the_interval_wider_than_images_would() -> None:
    table = simulated_predictions(patients=100, seed=4)
    pairs = replace(
        table, probabilities=np.repeat(table.probabilities[::2], 2, axis=0), labels=np.repeat(table.labels[::2], 2)
    )
    by_patient, by_image = (
        MetricIntervals(each).interval(("primary_auc",))
        for each in (pairs, replace(pairs, patient_ids=pairs.image_ids))
    )
    assert by_patient.value == by_image.value
    wide = (by_patient.upper or 0) - (by_patient.lower or 0)
    narrow = (by_image.upper or 0) - (by_image.lower or 0)
    assert wide / narrow == pytest.approx(2**0.5, abs=0.2)


def test_women_whom_no_split_has_dealt_out_make_accuracy_less_sure() -> None:
    table = simulated_predictions(patients=100, seed=4, separation=2.0)
    dealt, drawn = (MetricIntervals(table, fixed=fixed).interval(("accuracy",)) for fixed in (True, False))
    assert (drawn.upper or 0) - (drawn.lower or 0) > (dealt.upper or 0) - (dealt.lower or 0)


def test_the_order_of_the_cases_does_not_matter() -> None:
    table = simulated_predictions(patients=30)
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    second = MetricIntervals(shuffled).all
    for path, limits in MetricIntervals(table).all.items():
        assert limits.lower == pytest.approx(second[path].lower, abs=1e-9)


def test_a_missing_class_has_no_interval_and_the_rest_has() -> None:
    table = simulated_predictions(patients=30)
    metrics = with_intervals(table.take(np.flatnonzero(table.labels != 2)))
    missing = {"value": None, "lower": None, "upper": None, "level": 0.95, "method": "none", "undefined": 0}
    assert metrics["primary_auc"] == missing
    assert metrics["accuracy"]["lower"] is not None
    assert metrics["intervals"]["strata"] == "worst class of each patient"
    json.dumps(metrics, allow_nan=False)


def test_what_hangs_on_a_single_woman_has_no_limits() -> None:
    table = simulated_predictions(patients=20)
    malignant = np.flatnonzero(table.labels == 2)[:1]
    rows = np.union1d(np.flatnonzero(table.labels != 2), malignant)
    found = MetricIntervals(table.take(rows)).all
    assert found["primary_auc",].value is not None
    assert found["primary_auc",].method in ("none", "exact")
    assert found["accuracy",].lower is not None


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_and_clopper_and_pearson_equal_scipy(counts: tuple[int, int]) -> None:
    expected = stats.binomtest(*counts).proportion_ci(method="wilson")
    found = wilson(*counts)
    assert [found.lower, found.upper] == pytest.approx([expected.low, expected.high], abs=1e-12)
    assert wilson(0, 0).value is None
    exact = stats.binomtest(*counts).proportion_ci(method="exact")
    assert clopper_pearson(counts[0] / counts[1], counts[1]) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_gamma_limits_of_a_rate_are_the_exact_ones_of_a_count() -> None:
    """Of n cases that lose 1 each with the same small chance, the limits are Garwood's of a Poisson count."""
    for count, n in ((0, 80), (3, 80), (20, 400)):
        found = gamma_limits(Estimate(count / n, count / n**2, np.inf, np.inf), 1 / n)
        exact = [stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0.0, stats.chi2.ppf(0.975, 2 * count + 2) / 2]
        assert found == pytest.approx([limit / n for limit in exact], abs=1e-9)


def test_mover_limits_are_zou_and_donner_s() -> None:
    one, two = Interval(0.9, 0.7, 0.97, method="logit"), Interval(0.8, 0.65, 0.9, method="logit")
    for r in (0.0, 0.6):
        together = np.array([[1, r], [r, 1]])
        lower = 0.1 - np.sqrt(0.2**2 + 0.1**2 - 2 * r * 0.2 * 0.1)
        upper = 0.1 + np.sqrt(0.07**2 + 0.15**2 - 2 * r * 0.07 * 0.15)
        assert mover_limits([one, two], (1, -1), together) == pytest.approx((lower, upper))
    assert mover_limits([one, Interval(0.5)], (1, -1), np.eye(2)) is None
    assert student_limits(Estimate(0.5, np.nan, 3.0, 3.0)) is None
