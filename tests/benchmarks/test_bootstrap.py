"""Coverage and speed of the patient-cluster bootstrap.

    pytest -m slow tests/benchmarks/test_bootstrap.py -s

prints, for each method, how many of 2,000 simulated sets have the true AUC inside the 95 % interval.
"""

from __future__ import annotations

import math
import time
from collections import Counter

import numpy as np
import pytest
from scipy.special import ndtr

from reports.metrics.auc import WeightedRanking
from reports.metrics.degenerate import independent_pairs, is_unmoved, unmoved_interval
from reports.metrics.intervals import Method, interval, jackknife_weights, patient_weights
from reports.metrics.table_intervals import metric_intervals
from reports.predictions import Predictions
from tests.support.simulated import simulated_predictions

METHODS: tuple[Method, ...] = ("percentile", "bca", "logit")
SEPARATION = 0.954  # AUC 0.75 between two unit normals
PATIENT_VARIANCE = 0.5


def simulated_scores(
    patients: int, malignants: int, rng: np.random.Generator, separation: float = SEPARATION
) -> tuple[np.ndarray, np.ndarray]:
    """Two breasts a patient with correlated scores, at most one of them malignant, as in MIAS."""
    malignant = np.zeros((patients, 2), dtype=bool)
    malignant[:malignants, 0] = True
    scores = (
        separation * malignant
        + math.sqrt(PATIENT_VARIANCE) * rng.normal(size=(patients, 1))
        + math.sqrt(1 - PATIENT_VARIANCE) * rng.normal(size=(patients, 2))
    )
    return malignant.ravel(), scores.ravel()


def coverage(patients: int, malignants: int, *, sets: int, resamples: int) -> dict[str, tuple[float, float]]:
    """Share of the sets whose interval holds the true AUC, and the mean width, by method."""
    truth = float(ndtr(SEPARATION / math.sqrt(2)))
    names = tuple(f"p{row // 2:04d}" for row in range(2 * patients))
    left_out = jackknife_weights(names)
    inside: Counter[str] = Counter()
    width: Counter[str] = Counter()
    for number in range(sets):
        rng = np.random.default_rng((20, malignants, number))
        malignant, scores = simulated_scores(patients, malignants, rng)
        weights = patient_weights(names, resamples=resamples, seed=number)
        replicates = WeightedRanking.of(malignant, scores, weights).auc()
        jackknife = WeightedRanking.of(malignant, scores, left_out).auc()
        value = float(WeightedRanking.of(malignant, scores, np.ones((1, len(scores)))).auc()[0])
        for method in METHODS:
            found = interval(value, replicates, method=method, jackknife=jackknife)
            assert found.lower is not None
            assert found.upper is not None
            inside[method] += found.lower <= truth <= found.upper
            width[method] += found.upper - found.lower
    return {method: (inside[method] / sets, width[method] / sets) for method in METHODS}


@pytest.mark.slow
@pytest.mark.parametrize(("patients", "malignants"), [(161, 52), (40, 10)])
def test_coverage_over_simulated_sets(patients: int, malignants: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = coverage(patients, malignants, sets=2000, resamples=2000)
    with capsys.disabled():
        for method, (share, width) in found.items():
            print(f"\n{malignants} malignants of {2 * patients}: {method:10s} {share:.2%}, mean width {width:.3f}")
    if malignants == 52:
        assert all(0.93 <= share <= 0.97 for share, _ in found.values())


def test_coverage_is_not_far_off_on_a_hundred_sets() -> None:
    found = coverage(60, 20, sets=100, resamples=200)
    assert all(0.87 <= share <= 1 for share, _ in found.values())


def test_a_model_that_is_almost_perfect_is_not_given_a_certainty() -> None:
    patients, malignants, sets, separation = 40, 10, 100, 3.5
    truth = float(ndtr(separation / math.sqrt(2)))
    names = tuple(f"p{row // 2:04d}" for row in range(2 * patients))
    inside = perfect = 0
    for number in range(sets):
        malignant, scores = simulated_scores(patients, malignants, np.random.default_rng((21, number)), separation)
        replicates = WeightedRanking.of(malignant, scores, patient_weights(names, resamples=200, seed=number)).auc()
        jackknife = WeightedRanking.of(malignant, scores, jackknife_weights(names)).auc()
        value = float(WeightedRanking.of(malignant, scores, np.ones((1, len(scores)))).auc()[0])
        if is_unmoved(value, replicates):
            perfect += 1
            found = unmoved_interval(value, independent_pairs(malignant, names))
        else:
            found = interval(value, replicates, method="bca", jackknife=jackknife)
        assert found.lower is not None
        assert found.upper is not None
        inside += found.lower <= truth <= found.upper
    # The bootstrap alone would lose every perfect set.
    assert perfect > 20
    assert inside / sets >= 0.93


def test_two_thousand_resamples_of_all_metrics_take_under_five_seconds() -> None:
    table: Predictions = simulated_predictions(patients=161, seed=1)
    # Processor time, for another process on the same machine says nothing about this code.
    start = time.process_time()
    intervals = metric_intervals(table, resamples=2000)
    seconds = time.process_time() - start
    assert len(intervals) >= 25
    assert seconds < 5
