"""Metrics, table and page of a nested protocol."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.figures import write_nested_figures
from reports.html import render_report
from reports.metric_intervals import with_intervals
from reports.nested import nested_metrics
from reports.predictions import Predictions
from reports.run_summary import DataFacts, OuterFold, RunSummary
from reports.trial_table import best_run

from .simulated import simulated_predictions, simulated_trials

HEADLINE = ("primary_auc", "abnormal_auc", "macro_ovr_auc", "balanced_accuracy", "brier")


def three_folds(predictions):
    return np.arange(len(predictions)) // 2 % 3 + 1


def points(metrics):
    return {key: metrics[key]["value"] for key in HEADLINE}


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 20), st.randoms(use_true_random=False))
def test_the_order_of_the_patients_changes_nothing(seed, random):
    predictions = simulated_predictions(patients=30, seed=seed)
    folds = three_folds(predictions)
    order = list(range(len(predictions)))
    random.shuffle(order)
    before = nested_metrics(predictions, folds, resamples=20)
    after = nested_metrics(predictions.take(order), folds[order], resamples=20)
    assert points(after) == pytest.approx(points(before), nan_ok=True)
    assert after["primary_auc"]["lower"] == pytest.approx(before["primary_auc"]["lower"])


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 20), st.integers(2, 3))
def test_patients_that_stand_there_twice_change_no_point_estimate(seed, times):
    predictions = simulated_predictions(patients=30, seed=seed)
    folds = three_folds(predictions)
    many = Predictions(
        image_ids=tuple(f"{name}-{k}" for k in range(times) for name in predictions.image_ids),
        patient_ids=tuple(f"{name}-{k}" for k in range(times) for name in predictions.patient_ids),
        labels=np.tile(predictions.labels, times),
        probabilities=np.tile(predictions.probabilities, (times, 1)),
        class_names=predictions.class_names,
    )
    before = nested_metrics(predictions, folds, resamples=5)
    after = nested_metrics(many, np.tile(folds, times), resamples=5)
    assert points(after) == pytest.approx(points(before))


def test_a_fold_without_a_class_is_not_defined_and_the_mean_is_over_the_rest():
    predictions = simulated_predictions(patients=90, seed=3)
    folds = three_folds(predictions)
    kept = np.flatnonzero((folds != 2) | (predictions.labels != 2))
    metrics = nested_metrics(predictions.take(kept), folds[kept], resamples=50)
    assert [fold["primary_auc"] is None for fold in metrics["outer_folds"]] == [False, True, False]
    rest = [fold["primary_auc"] for fold in metrics["outer_folds"] if fold["primary_auc"] is not None]
    assert metrics["primary_auc"]["value"] == pytest.approx(np.mean(rest))
    assert metrics["primary_auc"]["lower"] < metrics["primary_auc"]["value"] < metrics["primary_auc"]["upper"]
    assert metrics["outer_folds"][1]["class_counts"]["malignant"] == 0
    assert metrics["outer_folds"][1]["abnormal_auc"] is not None
    assert metrics["notes"] == [
        "Malignant versus rest AUC is not defined in outer fold 2 (no malignant image); its mean is over the other 2.",
        "Macro one-vs-rest AUC is not defined in outer fold 2 (no malignant image); its mean is over the other 2.",
    ]
    json.dumps(metrics, allow_nan=False)


def test_a_class_without_any_image_is_not_defined_anywhere():
    predictions = simulated_predictions(patients=30)
    kept = np.flatnonzero(predictions.labels != 2)
    metrics = nested_metrics(predictions.take(kept), three_folds(predictions)[kept], resamples=20)
    assert metrics["primary_auc"]["value"] is None
    assert metrics["notes"][0].endswith("it has no mean.")


def test_the_table_with_its_folds_reads_back(tmp_path):
    predictions = simulated_predictions(patients=10)
    folds = three_folds(predictions)
    file = predictions.write_csv(tmp_path / "predictions.csv", outer_folds=folds.tolist())
    assert file.read_text().splitlines()[0].endswith(",p_malignant,outer_fold")
    back = Predictions.read_csv(file)
    assert np.array_equal(back.probabilities, predictions.probabilities)
    assert back.image_ids == predictions.image_ids


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Of three outer folds, the second without a malignant image."""
    directory = tmp_path_factory.mktemp("nested")
    winner = best_run(simulated_trials())
    predictions = simulated_predictions(patients=90, seed=3)
    fold_of_case = three_folds(predictions)
    kept = np.flatnonzero((fold_of_case != 2) | (predictions.labels != 2))
    predictions, fold_of_case = predictions.take(kept), fold_of_case[kept]
    metrics = nested_metrics(predictions, fold_of_case, resamples=50)
    metrics |= {"estimates": "This estimates the procedure on 2/3 of the patients.", "protocol": "nested"}
    parts = [predictions.take(np.flatnonzero(fold_of_case == number)) for number in (1, 2, 3)]
    folds = tuple(
        OuterFold(
            number,
            part.n_patients,
            {name: int((part.labels == index).sum()) for index, name in enumerate(part.class_names)},
            with_intervals(part, resamples=50, method="percentile"),
            winner,
            1,
            f"../outer-{number}/best/report.html",
        )
        for number, part in enumerate(parts, start=1)
    )
    figures = write_nested_figures(predictions, None, folds, fold_of_case, metrics, winner, directory)
    counts = {name: int((predictions.labels == index).sum()) for index, name in enumerate(predictions.class_names)}
    return render_report(
        RunSummary(
            name="nested",
            created="2030-01-01T14:05:00+00:00",
            command="mammo-search run --protocol nested",
            config_toml="",
            data=DataFacts("a folder", len(predictions), predictions.n_patients, counts),
            splits=(),
            plan=(),
            trials=simulated_trials(),
            metrics=metrics,
            figures=figures,
            protocol="nested",
            outer_folds=folds,
        )
    )


def test_the_page_says_that_it_estimates_the_procedure_and_not_the_model(page):
    assert "2/3 of the patients" in page
    assert "the figures above are not its own" in page
    assert "Mean over 3 outer folds" in page
    assert "held-out patients" not in page
    assert page.count('href="../outer-') == 3
    assert all(
        f'id="figure-{name}"' in page for name in ("outer_folds", "outer_roc", "confusion_matrix", "reliability")
    )


def test_a_fold_that_lacks_a_class_is_said_on_the_page(page):
    assert "is not defined in outer fold 2 (no malignant image)" in page
    (row,) = re.findall(r'<tr><th scope="row"><a href="../outer-2.*</tr>', page)
    assert row.count("not defined") == 2
