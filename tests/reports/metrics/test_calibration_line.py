"""Calibration in the large and the calibration slope, against a root search and the gradient of the likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit, logit

from reports.metrics.calibration import calibration_line
from reports.metrics.table_intervals import with_intervals
from tests.support.simulated import simulated_predictions


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 1.0, 6.0]), st.sampled_from([-4.0, 0.0, 2.0]))
def test_both_are_those_of_a_logistic_regression_under_any_weighting(seed: int, spread: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    odds = spread * rng.normal(size=80) + shift
    positive = rng.random(80) < expit(0.5 * odds / spread)
    # Positives at both ends and a negative between them: no threshold parts the sides.
    positive[:3], odds[:2] = [True, True, False], [odds.min() - 1e-3, odds.max() + 1e-3]
    odds = logit(expit(odds))  # what is left of them in a probability near 1
    weights = rng.multinomial(80, np.full(80, 1 / 80), size=3) + 0.0
    weights[0] = 1
    weights[:, :3] += 1
    large, slope = calibration_line(positive, expit(odds), weights)
    for row, w in enumerate(weights):
        expected = brentq(lambda added: w @ (expit(added + odds) - positive), -200, 200, xtol=1e-12)  # noqa: B023
        assert large[row] == pytest.approx(expected, abs=1e-7)
        # The likelihood is concave: with the likeliest intercept beside it, the likeliest slope has no gradient.
        tilted = slope[row] * (odds - odds.mean())
        beside = brentq(lambda added: w @ (expit(added + tilted) - positive), -400, 400, xtol=1e-13)  # noqa: B023
        gradient = w @ ((odds - odds.mean()) / odds.std() * (positive - expit(beside + tilted)))
        assert gradient == pytest.approx(0, abs=1e-6)


def test_a_model_that_is_twice_too_sure_or_too_high_is_told() -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(-1.5, 1.5, size=40_000)
    positive, ones = rng.random(40_000) < expit(odds), np.ones((1, 40_000))
    for said, intercept, steepness in ((odds, 0, 1), (2 * odds, None, 0.5), (odds + 1, -1, 1)):
        large, slope = calibration_line(positive, expit(said), ones)
        assert slope[0] == pytest.approx(steepness, abs=0.03)
        assert intercept is None or large[0] == pytest.approx(intercept, abs=0.05)


def test_what_has_no_likeliest_line_is_not_defined() -> None:
    positive, ones = np.arange(20) >= 15, np.ones((1, 20))
    parted = np.linspace(0.1, 0.9, 20)
    large, slope = calibration_line(positive, parted, ones)
    assert np.isfinite(large[0])
    assert np.isnan(slope[0])
    large, slope = calibration_line(positive, np.full(20, 0.25), ones)
    assert large[0] == pytest.approx(logit(0.25) - logit(0.25), abs=1e-9)
    assert np.isnan(slope[0])
    # A case of the other side upon the threshold does not bring the likeliest slope back from infinity.
    touching = parted.copy()
    touching[14] = parted[15]
    assert np.isnan(calibration_line(positive, touching, ones)[1][0])
    touching[14] = parted[16]
    assert np.isfinite(calibration_line(positive, touching, ones)[1][0])
    for nobody in (np.zeros(20, bool), np.ones(20, bool)):
        assert np.isnan([*calibration_line(nobody, parted, ones)]).all()
    sure = np.where(positive, 1.0, 0.0)
    sure[:2], sure[-2:] = 1.0, 0.0
    assert np.isfinite([*calibration_line(positive, sure, ones)]).all()


def test_the_table_has_both_without_an_interval() -> None:
    table = simulated_predictions(patients=60, separation=1.2)
    large, slope = calibration_line(table.labels == 2, table.probabilities[:, 2], np.ones((1, len(table))))
    found = with_intervals(table)
    assert (found["calibration_intercept"], found["calibration_slope"]) == (large[0], slope[0])
