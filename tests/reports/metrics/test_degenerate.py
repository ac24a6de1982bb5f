"""Intervals of what no resample moves: perfect rankings, shares of 0 and 1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reports.evaluation.nested import nested_metrics
from reports.evaluation.subgroups import CaseAttributes, subgroup_results
from reports.metrics.degenerate import independent_pairs
from reports.metrics.intervals import wilson
from reports.metrics.table import metric_values
from reports.metrics.table_intervals import metric_intervals, paired_difference
from reports.predictions import Predictions
from tests.support.simulated import simulated_predictions


def perfect(patients: int = 40, seed: int = 0) -> Predictions:
    table = simulated_predictions(patients=patients, seed=seed)
    return replace(table, probabilities=0.05 + 0.85 * np.eye(3)[table.labels])


@pytest.mark.parametrize("method", ["percentile", "bca", "logit"])
def test_a_perfect_model_on_few_cases_is_not_certain(method: str) -> None:
    table = perfect()
    found = metric_intervals(table, resamples=100, method=method)  # type: ignore[arg-type]
    malignant = {patient for patient, label in zip(table.patient_ids, table.labels, strict=True) if label == 2}
    for path in (("primary_auc",), ("per_class", "malignant", "recall"), ("sensitivity_at_95_specificity",)):
        assert (found[path].value, found[path].upper) == (1, 1)
        assert found[path].lower == pytest.approx(wilson(len(malignant), len(malignant)).lower)
        assert found[path].method == "wilson"
    assert found["accuracy",].lower == pytest.approx(wilson(40, 40).lower)
    assert found["macro_ovr_auc",].lower == pytest.approx(
        min(found["per_class", name, "auc"].lower for name in table.class_names)
    )
    # No probability, so no limits, and no claim.
    assert (found["matthews",].value, found["matthews",].lower) == (pytest.approx(1), None)
    assert found["brier",].lower is None


def test_a_model_that_says_one_thing_only_is_not_certain_either() -> None:
    table = simulated_predictions(patients=40)
    normal = replace(table, probabilities=np.tile([0.8, 0.1, 0.1], (80, 1)))
    found = metric_intervals(normal, resamples=100)
    assert found["per_class", "malignant", "recall"].lower == 0
    assert 0.1 < (found["per_class", "malignant", "recall"].upper or 0) < 0.5
    assert found["balanced_accuracy",].value == pytest.approx(1 / 3)
    assert found["balanced_accuracy",].lower is None
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
    nested = nested_metrics(table, folds, resamples=50)
    assert nested["primary_auc"]["method"] == "wilson"
    assert nested["pooled"]["primary_auc"]["lower"] < 1
    assert 0.7 < nested["primary_auc"]["lower"] < 1
    attributes = {image: CaseAttributes("F") for image in table.image_ids}
    tissue = subgroup_results(table, attributes, resamples=50)[0]
    assert (tissue.auc.value, tissue.auc.method) == (1, "wilson")
    assert 0.7 < (tissue.auc.lower or 0) < 1


def test_two_perfect_models_are_not_told_to_be_equal_without_doubt() -> None:
    table = perfect()
    surer = replace(table, probabilities=0.01 + 0.97 * np.eye(3)[table.labels])

    def auc(cases, weights):
        return metric_values(cases, weights)["primary_auc",]

    found = paired_difference(surer, table, auc, resamples=50)
    assert (found.value, found.lower) == (0, None)
