from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from reports.errors import ReportError
from reports.metrics.intervals import interval, patient_weights, wilson
from reports.metrics.table import metric_values
from reports.metrics.table_intervals import metric_intervals, paired_difference, with_intervals
from tests.support.simulated import simulated_predictions


def test_images_of_a_patient_are_drawn_together_and_every_draw_has_as_many_patients() -> None:
    table = simulated_predictions(patients=40)
    weights = patient_weights(table.patient_ids, resamples=500, seed=1)
    assert np.array_equal(weights[:, ::2], weights[:, 1::2])
    assert (weights[:, ::2].sum(axis=1) == 40).all()
    assert weights.mean() == pytest.approx(1, abs=1e-12)


def test_percentile_interval_equals_a_bootstrap_written_as_a_loop() -> None:
    table = simulated_predictions(patients=30)
    ours = metric_intervals(table, resamples=1500, seed=0, method="percentile")["primary_auc",]
    rng = np.random.default_rng(99)
    patients = np.array(table.patient_ids)
    names = np.unique(patients)
    replicates = []
    for _ in range(1500):
        rows = np.concatenate([np.flatnonzero(patients == name) for name in rng.choice(names, len(names))])
        labels = table.labels[rows] == 2
        if labels.any() and not labels.all():
            replicates.append(roc_auc_score(labels, table.probabilities[rows, 2]))
    assert [ours.lower, ours.upper] == pytest.approx(np.quantile(replicates, [0.025, 0.975]), abs=0.02)


@pytest.mark.parametrize("method", ["percentile", "bca", "logit"])
def test_the_value_lies_inside_its_interval(method: str) -> None:
    table = simulated_predictions(patients=60, seed=2)
    intervals = metric_intervals(table, resamples=500, method=method)  # type: ignore[arg-type]
    for path in (("primary_auc",), ("macro_ovr_auc",), ("balanced_accuracy",), ("per_class", "normal", "recall")):
        found = intervals[path]
        assert found.lower is not None
        assert found.value is not None
        assert found.upper is not None
        assert 0 <= found.lower < found.value < found.upper <= 1


def test_bca_equals_scipy_where_every_patient_has_one_image() -> None:
    rng = np.random.default_rng(0)
    x = rng.exponential(size=50)
    n = len(x)
    weights = patient_weights(tuple(str(i) for i in range(n)), resamples=20000, seed=3)
    left_out = (x.sum() - x) / (n - 1)
    ours = interval(float(x.mean()), weights @ x / n, method="bca", jackknife=left_out)
    theirs = stats.bootstrap(
        (x,), np.mean, n_resamples=20000, method="BCa", rng=np.random.default_rng(5)
    ).confidence_interval
    assert [ours.lower, ours.upper] == pytest.approx([theirs.low, theirs.high], abs=0.012)


def test_patients_make_the_interval_wider_than_images_would() -> None:
    table = simulated_predictions(patients=100, seed=4)
    pairs = replace(
        table, probabilities=np.repeat(table.probabilities[::2], 2, axis=0), labels=np.repeat(table.labels[::2], 2)
    )
    by_patient = metric_intervals(pairs, resamples=1000)["primary_auc",]
    by_image = metric_intervals(replace(pairs, patient_ids=pairs.image_ids), resamples=1000)["primary_auc",]
    assert by_patient.value == by_image.value
    wide = (by_patient.upper or 0) - (by_patient.lower or 0)
    narrow = (by_image.upper or 0) - (by_image.lower or 0)
    assert wide / narrow == pytest.approx(2**0.5, abs=0.2)


@pytest.mark.parametrize("method", ["percentile", "bca", "logit"])
def test_no_interval_leaves_out_its_own_estimate(method: str) -> None:
    # The calibration error of few, well calibrated cases: every resample scores worse than the sample.
    for seed in range(6):
        table = simulated_predictions(patients=25, seed=seed, separation=0.5)
        for limits in metric_intervals(table, resamples=200, method=method).values():  # type: ignore[arg-type]
            if limits.lower is not None:
                assert limits.value is not None
                assert limits.upper is not None
                assert limits.lower <= limits.value <= limits.upper
    biased = np.linspace(0.2, 0.3, 500)
    assert interval(0.1, biased).lower is None
    assert interval(0.1, biased, method="bca", jackknife=biased[:50]).lower is None


def test_the_order_of_the_cases_does_not_matter() -> None:
    table = simulated_predictions(patients=30)
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    first, second = metric_intervals(table, resamples=200), metric_intervals(shuffled, resamples=200)
    for path, limits in first.items():
        assert limits.lower == pytest.approx(second[path].lower, abs=1e-12)


def test_a_missing_class_has_no_interval_and_the_rest_has() -> None:
    table = simulated_predictions(patients=30)
    table = table.take(np.flatnonzero(table.labels != 2))
    metrics = with_intervals(table, resamples=100, method="percentile")
    assert metrics["primary_auc"] == {
        "value": None,
        "lower": None,
        "upper": None,
        "level": 0.95,
        "method": "percentile",
        "undefined": 100,
    }
    assert metrics["accuracy"]["lower"] is not None
    json.dumps(metrics, allow_nan=False)


def test_a_rare_class_is_counted_where_resamples_miss_it() -> None:
    table = simulated_predictions(patients=20)
    malignant = np.flatnonzero(table.labels == 2)[:1]
    rows = np.union1d(np.flatnonzero(table.labels != 2), malignant)
    found = metric_intervals(table.take(rows), resamples=2000)["primary_auc",]
    # A single patient is missing from (1 − 1/n)^n ≈ 37 % of the draws.
    assert 0.3 < found.undefined / 2000 < 0.43
    assert found.lower is not None


def test_two_models_are_compared_on_the_same_patients() -> None:
    good = simulated_predictions(patients=60, seed=5, separation=2.0)
    rng = np.random.default_rng(0)
    blurred = good.probabilities + rng.uniform(0, 0.2, size=good.probabilities.shape)
    worse = replace(good, probabilities=blurred / blurred.sum(axis=1, keepdims=True))

    def auc(table, weights):
        return metric_values(table, weights)["macro_ovr_auc",]

    order = rng.permutation(len(good))
    difference = paired_difference(good, worse.take(order), auc, resamples=500)
    assert difference.value == pytest.approx(auc(good, np.ones((1, 120)))[0] - auc(worse, np.ones((1, 120)))[0])
    single = metric_intervals(good, resamples=500)["macro_ovr_auc",]
    assert (difference.upper or 0) - (difference.lower or 0) < (single.upper or 0) - (single.lower or 0)
    itself = paired_difference(good, good.take(order), auc, resamples=200)
    assert [itself.value, itself.lower, itself.upper] == pytest.approx([0, 0, 0], abs=1e-12)
    with pytest.raises(ReportError, match="only one of them has"):
        paired_difference(good, worse.take(range(10)), auc)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy(counts: tuple[int, int]) -> None:
    expected = stats.binomtest(*counts).proportion_ci(method="wilson")
    found = wilson(*counts)
    assert [found.lower, found.upper] == pytest.approx([expected.low, expected.high], abs=1e-12)
    assert wilson(0, 0).value is None
