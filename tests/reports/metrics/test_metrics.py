from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from reports.metrics.auc import auc_standard_error, binary_auc
from reports.metrics.table import classification_metrics, macro_ovr_auc, metric_values, one_vs_rest_auc
from reports.predictions import Predictions
from tests.support.comparing import assert_close
from tests.support.simulated import CLASS_NAMES, simulated_predictions


@st.composite
def tables(draw: st.DrawFn, *, all_classes: bool = True) -> Predictions:
    """Tables of few distinct probabilities, so that ties are common, with every class present."""
    n = draw(st.integers(6, 60))
    seed = draw(st.integers(0, 2**32 - 1))
    levels = draw(st.sampled_from([2, 5, 1000]))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, size=n)
    if all_classes:
        labels[:3] = [0, 1, 2]
    raw = rng.integers(1, levels + 1, size=(n, 3)).astype(np.float64)
    return Predictions(
        image_ids=tuple(f"i{row}" for row in range(n)),
        patient_ids=tuple(f"p{row // 2}" for row in range(n)),
        labels=labels,
        probabilities=raw / raw.sum(axis=1, keepdims=True),
        class_names=CLASS_NAMES,
    )


bounded = settings(max_examples=60, deadline=None)


@bounded
@given(tables())
def test_fast_aucs_equal_scikit_learn(table: Predictions) -> None:
    expected = sk.roc_auc_score(table.labels, table.probabilities, multi_class="ovr", average="macro")
    assert macro_ovr_auc(table.labels, table.probabilities) == pytest.approx(expected, abs=1e-12)
    for index in range(3):
        expected = sk.roc_auc_score(table.labels == index, table.probabilities[:, index])
        assert one_vs_rest_auc(table.labels, table.probabilities[:, index], index) == pytest.approx(expected, abs=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@bounded
@given(tables(), st.integers(0, 100))
def test_every_metric_equals_scikit_learn_under_any_weighting(table: Predictions, seed: int) -> None:
    weights = np.random.default_rng(seed).multinomial(len(table), np.full(len(table), 1 / len(table)), size=3) + 0.0
    weights[0] = 1
    weights[:, :3] += 1  # every class keeps some weight
    values = metric_values(table, weights)
    labels, guess, p = table.labels, table.predicted, table.probabilities
    one_hot = np.eye(3)[labels]
    for row, w in enumerate(weights):
        malignant, score = labels == 2, p[:, 2]
        # Without its points on straight pieces the curve would lack the best one below a bound.
        false, true, _ = sk.roc_curve(malignant, score, sample_weight=w, drop_intermediate=False)
        expected = {
            ("primary_auc",): sk.roc_auc_score(malignant, score, sample_weight=w),
            ("abnormal_auc",): sk.roc_auc_score(labels > 0, p[:, 1:].sum(axis=1), sample_weight=w),
            ("macro_ovr_auc",): np.mean([sk.roc_auc_score(labels == c, p[:, c], sample_weight=w) for c in range(3)]),
            ("accuracy",): sk.accuracy_score(labels, guess, sample_weight=w),
            ("balanced_accuracy",): sk.balanced_accuracy_score(labels, guess, sample_weight=w),
            ("macro_f1",): sk.f1_score(labels, guess, average="macro", sample_weight=w),
            ("quadratic_kappa",): sk.cohen_kappa_score(
                labels, guess, labels=[0, 1, 2], weights="quadratic", sample_weight=w
            ),
            ("average_precision",): sk.average_precision_score(malignant, score, sample_weight=w),
            ("partial_auc",): sk.roc_auc_score(malignant, score, sample_weight=w, max_fpr=0.1),
            ("sensitivity_at_90_specificity",): true[false <= 0.1 + 1e-12].max(),
            ("sensitivity_at_95_specificity",): true[false <= 0.05 + 1e-12].max(),
            ("log_loss",): sk.log_loss(labels, p, sample_weight=w),
            ("brier",): np.average(((p - one_hot) ** 2).sum(axis=1), weights=w),
        }
        if len(set(guess[w > 0])) > 1:
            expected["matthews",] = sk.matthews_corrcoef(labels, guess, sample_weight=w)
        recall = sk.recall_score(labels, guess, average=None, labels=[0, 1, 2], sample_weight=w)
        precision = sk.precision_score(labels, guess, average=None, labels=[0, 1, 2], sample_weight=w, zero_division=0)
        f1 = sk.f1_score(labels, guess, average=None, labels=[0, 1, 2], sample_weight=w)
        for index, name in enumerate(CLASS_NAMES):
            expected["per_class", name, "recall"] = recall[index]
            expected["per_class", name, "f1"] = f1[index]
            expected["per_class", name, "specificity"] = sk.recall_score(
                labels != index, guess != index, sample_weight=w
            )
            if index in guess[w > 0]:
                expected["per_class", name, "precision"] = precision[index]
            else:
                assert math.isnan(values["per_class", name, "precision"][row])
        for path, value in expected.items():
            assert values[path][row] == pytest.approx(value, abs=1e-12), path


def test_a_missing_class_is_not_defined_rather_than_a_coin_toss() -> None:
    table = simulated_predictions(seed=3)
    without = table.take(np.flatnonzero(table.labels != 2))
    metrics = classification_metrics(without)
    assert metrics["primary_auc"] is None
    assert metrics["macro_ovr_auc"] is None
    assert metrics["balanced_accuracy"] is None
    assert metrics["per_class"]["malignant"]["recall"] is None
    assert metrics["per_class"]["malignant"]["support"] == 0
    assert metrics["abnormal_auc"] is not None
    assert metrics["class_counts"]["malignant"] == 0
    json.dumps(metrics, allow_nan=False)


def test_a_diverged_model_has_no_auc() -> None:
    probabilities = np.full((4, 3), np.nan)
    assert math.isnan(macro_ovr_auc(np.array([0, 1, 2, 0]), probabilities))


@pytest.mark.parametrize(("auc", "positives", "negatives"), [(0.5, 8, 44), (0.8, 8, 44), (0.95, 11, 20)])
def test_the_standard_error_of_an_auc_is_that_of_exponential_scores(auc: float, positives: int, negatives: int) -> None:
    """For which Hanley and McNeil's formula is exact."""
    rng = np.random.default_rng(0)
    positive = np.arange(positives + negatives) < positives
    scale = np.where(positive, auc / (1 - auc), 1.0)
    drawn = [binary_auc(positive, rng.exponential(scale)) for _ in range(3000)]
    assert np.mean(drawn) == pytest.approx(auc, abs=0.01)
    assert auc_standard_error(auc, positives, negatives) == pytest.approx(np.std(drawn), rel=0.06)


@bounded
@given(tables(), st.randoms(use_true_random=False))
def test_order_and_patient_names_do_not_change_a_metric(table: Predictions, random) -> None:
    rows = list(range(len(table)))
    random.shuffle(rows)
    split = replace(table.take(rows), patient_ids=tuple(f"q{row}" for row in rows))
    before, after = classification_metrics(table), classification_metrics(split)
    before.pop("n_patients"), after.pop("n_patients")
    assert_close(before, after)


@bounded
@given(tables())
def test_every_patient_twice_changes_counts_only(table: Predictions) -> None:
    twice = Predictions(
        image_ids=table.image_ids + tuple(f"{image}-again" for image in table.image_ids),
        patient_ids=table.patient_ids + tuple(f"{patient}-again" for patient in table.patient_ids),
        labels=np.concatenate([table.labels, table.labels]),
        probabilities=np.concatenate([table.probabilities, table.probabilities]),
        class_names=table.class_names,
    )
    before, after = classification_metrics(table), classification_metrics(twice)
    assert after["n"] == 2 * before["n"]
    assert after["confusion_matrix"] == (2 * np.array(before["confusion_matrix"])).tolist()
    for name in CLASS_NAMES:
        for metrics in (before, after):
            metrics["per_class"][name].pop("support")
    for counted in ("n", "n_patients", "class_counts", "confusion_matrix"):
        before.pop(counted), after.pop(counted)
    assert_close(before, after)
