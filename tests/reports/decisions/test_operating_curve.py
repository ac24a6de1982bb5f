"""The out-of-fold operating curve, from which a user's own point is taken."""

from __future__ import annotations

import numpy as np
import pytest

from reports.decisions.operating_curve import MOST_POINTS, operating_curve
from reports.decisions.operating_points import fixed_thresholds
from tests.support.simulated import simulated_predictions


@pytest.mark.parametrize("patients", [40, 400], ids=["every score", "more scores than points"])
def test_a_point_of_the_curve_does_what_it_says_and_a_target_is_always_kept(patients: int) -> None:
    table = simulated_predictions(patients=patients, seed=3)
    curve = operating_curve(table)
    positive, scores = table.labels == 2, table.probabilities[:, 2]
    assert (curve.endpoint, curve.classes) == ("malignant versus rest", ("malignant",))
    assert len(curve.thresholds) == len(set(curve.thresholds)) == min(len(table), MOST_POINTS)
    for threshold, sensitivity, specificity in zip(
        curve.thresholds, curve.sensitivities, curve.specificities, strict=True
    ):
        assert sensitivity == pytest.approx((scores[positive] >= threshold).mean())
        assert specificity == pytest.approx((scores[~positive] < threshold).mean())
    for target in (0.05, 0.5, 0.9, 0.95, 1.0):
        threshold = curve.at_sensitivity(target)
        assert (scores[positive] >= threshold).mean() >= target - 1e-12
        higher = [each for each in curve.thresholds if each > threshold]
        assert all((scores[positive] >= each).mean() < target for each in higher)
    for target in (0.05, 0.5, 0.9, 0.95):
        threshold = curve.at_specificity(target)
        assert (scores[~positive] < threshold).mean() >= target - 1e-12
        lower = [each for each in curve.thresholds if each < threshold]
        assert all((scores[~positive] < each).mean() < target for each in lower)


@pytest.mark.parametrize("patients", [40, 400])
def test_the_model_s_own_points_are_on_the_curve(patients: int) -> None:
    table = simulated_predictions(patients=patients, seed=4)
    curve = operating_curve(table)
    for point in fixed_thresholds(table)[:2]:
        assert curve.at_specificity(point.target_specificity) == point.threshold


def test_what_no_score_reaches_is_none() -> None:
    table = simulated_predictions(patients=40, seed=3)
    order = np.argsort(table.probabilities[:, 2])
    table = table.take(order[: 1 + np.flatnonzero(table.labels[order] != 2)[-1]])  # a negative has the highest score
    curve = operating_curve(table)
    assert curve.at_specificity(1.0) is None
    assert curve.at_sensitivity(1.0) == min(table.probabilities[table.labels == 2, 2])


def test_without_positives_or_negatives_there_is_no_curve() -> None:
    table = simulated_predictions(patients=40)
    assert operating_curve(table.take(np.flatnonzero(table.labels == 2))) is None
    assert operating_curve(table.take(np.flatnonzero(table.labels != 2))) is None
