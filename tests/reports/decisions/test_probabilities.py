from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from reports.decisions.probabilities import ProbabilityCorrection, fit_temperature, log_prior_shift, reliability_bins
from reports.errors import ReportError
from reports.metrics.calibration import classwise_ece, log_loss, softmax
from tests.support.simulated import simulated_predictions


def drawn_from(logits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (softmax(logits).cumsum(axis=1) < rng.random((len(logits), 1))).sum(axis=1).clip(0, logits.shape[1] - 1)


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_recovered_to_five_percent(true: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2, size=(10_000, 3))
    labels = drawn_from(logits, rng)
    found = fit_temperature(logits * true, labels)
    assert found.temperature == pytest.approx(true, rel=0.05)
    ones = np.ones((1, len(labels)))
    before, after = softmax(logits * true), found.probabilities(logits * true)
    assert log_loss(labels, after, ones)[0] <= log_loss(labels, before, ones)[0] + 1e-12
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()


def test_temperature_and_prior_are_told_apart() -> None:
    rng = np.random.default_rng(1)
    natural = np.array([0.64, 0.2, 0.16])
    balanced = rng.normal(scale=2, size=(20_000, 3))
    shift = log_prior_shift(natural, [1, 1, 1])
    labels = drawn_from(balanced + np.array(shift), rng)
    found = fit_temperature(balanced * 2, labels, shift=shift)
    assert found.temperature == pytest.approx(2, rel=0.05)
    assert found.probabilities(balanced * 2).mean(axis=0) == pytest.approx(np.bincount(labels) / len(labels), abs=0.01)


@pytest.mark.parametrize("cases", [30, 300])
def test_cases_without_an_error_do_not_ask_for_certainty(cases: int) -> None:
    """The likelihood alone would take the logits times 50; what few cases say is drawn to 1, what many say is not."""
    labels = np.arange(cases) % 3
    logits = 2 * np.eye(3)[labels]
    found = fit_temperature(logits, labels)
    assert 0.15 < found.temperature < 0.8
    assert fit_temperature(logits, labels, independent=3).temperature > found.temperature
    given = found.probabilities(logits)[np.arange(cases), labels]
    assert found.loss == pytest.approx(-np.log(given).mean())


def test_prior_correction_turns_one_posterior_into_the_other() -> None:
    likelihood = np.random.default_rng(2).exponential(size=(50, 3))
    natural, training = np.array([207, 63, 52]), np.array([1, 1, 1])

    def posterior(prior: np.ndarray) -> np.ndarray:
        joint = likelihood * prior
        return joint / joint.sum(axis=1, keepdims=True)

    correction = ProbabilityCorrection(1.0, log_prior_shift(natural, training))
    assert correction.probabilities(np.log(posterior(training))) == pytest.approx(posterior(natural), abs=1e-12)
    with pytest.raises(ReportError, match="above 0"):
        log_prior_shift([1, 0, 1], [1, 1, 1])


def test_a_temperature_needs_finite_logits() -> None:
    with pytest.raises(ReportError, match="finite"):
        fit_temperature(np.full((3, 3), np.inf), np.array([0, 1, 2]))


def test_calibration_error_and_bins_equal_scikit_learn() -> None:
    table = simulated_predictions(patients=100)
    expected = []
    for index in range(3):
        truth, column = table.labels == index, table.probabilities[:, index]
        observed, predicted = calibration_curve(truth, column, n_bins=10)
        bins = reliability_bins(table, index)
        assert [item.observed.value for item in bins] == pytest.approx(list(observed), abs=1e-12)
        assert [item.mean_predicted for item in bins] == pytest.approx(list(predicted), abs=1e-12)
        assert sum(item.cases for item in bins) == 200
        share = np.array([item.cases for item in bins]) / 200
        expected.append((share * np.abs(observed - predicted)).sum())
    found = classwise_ece(table.labels, table.probabilities, np.ones((1, 200)))
    assert found[0] == pytest.approx(np.mean(expected), abs=1e-12)


def test_a_perfect_forecast_has_no_error() -> None:
    table = simulated_predictions()
    table = replace(table, probabilities=np.eye(3)[table.labels])
    assert classwise_ece(table.labels, table.probabilities, np.ones((1, 80)))[0] == 0
