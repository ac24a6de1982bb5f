"""Limits of what no patient moves: perfect rankings, shares of 0 and 1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from reports.evaluation.comparison import HeldOut, differences
from reports.evaluation.nested import nested_metrics
from reports.evaluation.subgroups import CaseAttributes, subgroup_results
from reports.metrics.independent import independent_pairs
from reports.metrics.table_intervals import MetricIntervals
from reports.predictions import Predictions
from tests.support.simulated import simulated_predictions


def perfect(patients: int = 40, seed: int = 0) -> Predictions:
    table = simulated_predictions(patients=patients, seed=seed)
    return replace(table, probabilities=0.05 + 0.85 * np.eye(3)[table.labels])


def lowest(patients: int) -> float:
    """Clopper and Pearson's lower limit of so many of so many."""
    return float(stats.binomtest(patients, patients).proportion_ci(method="exact").low)


def test_a_perfect_model_on_few_cases_is_not_certain() -> None:
    table = perfect()
    found = MetricIntervals(table).all
    malignant = {patient for patient, label in zip(table.patient_ids, table.labels, strict=True) if label == 2}
    for path in (("primary_auc",), ("per_class", "malignant", "recall"), ("sensitivity_at_95_specificity",)):
        assert (found[path].value, found[path].upper) == (1, 1)
        assert found[path].lower == pytest.approx(lowest(len(malignant)))
        assert found[path].method == "exact"
    assert found["accuracy",].lower == pytest.approx(lowest(40))
    # A mean of three is surer than any one of them, and never certain.
    classes = [found["per_class", name, "auc"].lower or 0 for name in table.class_names]
    assert min(classes) < (found["macro_ovr_auc",].lower or 0) < 1
    assert (found["matthews",].value, found["matthews",].lower) == (pytest.approx(1), None)
    # One image more that is wholly wrong would be a Brier score of 2 / 80 more.
    assert (found["brier",].upper or 0) > (found["brier",].value or 0) + 2 / 80


def test_a_model_that_says_one_thing_only_is_not_certain_either() -> None:
    table = simulated_predictions(patients=40)
    normal = replace(table, probabilities=np.tile([0.8, 0.1, 0.1], (80, 1)))
    found = MetricIntervals(normal).all
    assert found["per_class", "malignant", "recall"].lower == 0
    assert 0.1 < (found["per_class", "malignant", "recall"].upper or 0) < 0.5
    assert found["sensitivity_at_90_specificity",].lower == 0
    assert (found["sensitivity_at_90_specificity",].upper or 0) > 0.1
    assert found["balanced_accuracy",].value == pytest.approx(1 / 3)
    assert (found["balanced_accuracy",].lower or 0) < 1 / 3 < (found["balanced_accuracy",].upper or 0)
    # All scores are equal: an AUC of 0.5 that nothing could move.
    assert (found["primary_auc",].value, found["primary_auc",].lower) == (0.5, None)
    assert found["accuracy",].lower is not None


def test_a_pair_takes_two_patients() -> None:
    positive = np.array([True, False, True, False, True, False])
    assert independent_pairs(positive, ("a", "b", "c", "d", "e", "f")) == 3
    # Each woman has a breast of both kinds: three women make one pair of different ones.
    assert independent_pairs(positive, ("a", "a", "b", "b", "c", "c")) == 1
    assert independent_pairs(positive, ("a", "b", "a", "d", "a", "f")) == 1
    assert independent_pairs(np.ones(6, dtype=bool), ("a", "b", "c", "d", "e", "f")) == 0


def test_folds_and_slices_have_such_limits_too() -> None:
    table = perfect(patients=90)
    folds = np.arange(180) // 2 % 3
    nested = nested_metrics(table, folds)
    assert nested["primary_auc"]["method"] == "exact"
    assert nested["pooled"]["primary_auc"]["lower"] < 1
    assert 0.7 < nested["primary_auc"]["lower"] < 1
    attributes = {image: CaseAttributes("F") for image in table.image_ids}
    tissue = subgroup_results(table, attributes)[0]
    assert (tissue.auc.value, tissue.auc.method) == (1, "exact")
    assert 0.7 < (tissue.auc.lower or 0) < 1


def test_two_perfect_models_are_not_told_to_be_equal_without_doubt() -> None:
    table = perfect()
    surer = replace(table, probabilities=0.01 + 0.97 * np.eye(3)[table.labels])
    found = differences(HeldOut(surer), HeldOut(table), ("primary_auc", "brier"))
    assert found["primary_auc"].value == 0
    assert (found["primary_auc"].lower or 0) < -0.1
    assert (found["primary_auc"].upper or 0) > 0.1
    # Each patient moves by as much: there is nothing to take a variance from.
    assert found["brier"].lower is None or found["brier"].lower < 0
