"""Metrics, table and page of a nested protocol."""

import json
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.evaluation.evaluate import evaluate
from reports.evaluation.nested import OuterFold, evaluate_nested, nested_metrics
from reports.evaluation.subgroups import CaseAttributes, subgroup_results
from reports.figures.write import write_nested_figures
from reports.metrics.table import one_vs_rest_auc
from reports.page.report import render_model_card, render_report
from reports.page.run_summary import DataFacts, RunSummary
from reports.predictions import Predictions
from reports.trials import best_trial
from tests.support.simulated import simulated_predictions, simulated_trials

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
    before = nested_metrics(predictions, folds)
    after = nested_metrics(predictions.take(order), folds[order])
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
    before = nested_metrics(predictions, folds)
    after = nested_metrics(many, np.tile(folds, times))
    assert points(after) == pytest.approx(points(before))


def test_a_fold_without_a_class_is_not_defined_and_the_mean_is_over_the_rest():
    predictions = simulated_predictions(patients=90, seed=3)
    folds = three_folds(predictions)
    kept = np.flatnonzero((folds != 2) | (predictions.labels != 2))
    metrics = nested_metrics(predictions.take(kept), folds[kept])
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
    metrics = nested_metrics(predictions.take(kept), three_folds(predictions)[kept])
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


@dataclass(frozen=True)
class ThreeFolds:
    """Of 90 patients, the second fold without a malignant image; each fold's model is too sure by itself."""

    exported: Predictions
    corrected: Predictions
    fold_of_case: np.ndarray
    metrics: list[dict]


def joined(parts):
    return Predictions(
        image_ids=tuple(name for part in parts for name in part.image_ids),
        patient_ids=tuple(name for part in parts for name in part.patient_ids),
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        class_names=parts[0].class_names,
    )


@pytest.fixture(scope="module")
def folds():
    predictions = simulated_predictions(patients=90, seed=3)
    fold_of_case = three_folds(predictions)
    kept = np.flatnonzero((fold_of_case != 2) | (predictions.labels != 2))
    predictions, fold_of_case = predictions.take(kept), fold_of_case[kept]
    evaluations = [
        evaluate(
            predictions.take(np.flatnonzero(fold_of_case == number)),
            development=predictions.take(np.flatnonzero(fold_of_case != number)),
            training_shares=(1, 1, 1),
        )
        for number in (1, 2, 3)
    ]
    parts = [evaluation.predictions for evaluation in evaluations]
    return ThreeFolds(
        joined(parts),
        joined([evaluation.corrected for evaluation in evaluations]),
        np.concatenate([np.full(len(part), number) for number, part in enumerate(parts, start=1)]),
        [evaluation.metrics for evaluation in evaluations],
    )


@pytest.fixture(scope="module")
def evaluation(folds):
    attributes = {
        image: CaseAttributes("FG"[row % 2], ("CALC",) if label else (), radius=float(row % 90) if label else None)
        for row, (image, label) in enumerate(zip(folds.exported.image_ids, folds.exported.labels, strict=True))
    }
    return evaluate_nested(
        folds.exported,
        folds.corrected,
        folds.fold_of_case,
        folds.metrics,
        attributes=attributes,
        radius_cuts=(30.0, 60.0),
    )


@pytest.fixture(scope="module")
def summary(folds, evaluation, tmp_path_factory):
    directory = tmp_path_factory.mktemp("nested")
    winner = best_trial(simulated_trials())
    predictions = folds.exported
    metrics = {**evaluation.metrics, "estimates": "This estimates the procedure on 2/3 of the patients."}
    metrics["protocol"] = "nested"
    outer = tuple(
        OuterFold(
            number,
            part["n_patients"],
            part["class_counts"],
            part,
            winner,
            1,
            f"../outer-{number}/best/report.html",
        )
        for number, part in enumerate(folds.metrics, start=1)
    )
    figures = write_nested_figures(evaluation, outer, folds.fold_of_case, winner, directory)
    counts = {name: int((predictions.labels == index).sum()) for index, name in enumerate(predictions.class_names)}
    return RunSummary(
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
        outer_folds=outer,
    )


@pytest.fixture(scope="module")
def page(summary):
    return render_report(summary)


def test_the_page_says_that_it_estimates_the_procedure_and_not_the_model(page):
    assert "2/3 of the patients" in page
    assert "the figures above are not its own" in page
    assert "mean over 3 outer folds" in page
    assert "held-out patients" not in page
    assert page.count('href="../outer-') == 3
    assert all(
        f'id="figure-{name}"' in page for name in ("outer_folds", "outer_roc", "confusion_matrix", "reliability")
    )


def test_a_fold_that_lacks_a_class_is_said_on_the_page(page):
    assert "is not defined in outer fold 2 (no malignant image)" in page
    (row,) = re.findall(r'<tr><th [^>]*><a href="../outer-2.*</tr>', page)
    assert row.count("not defined") == 2


def test_the_model_card_does_not_give_the_figures_to_the_model(summary):
    card = render_model_card(summary)
    assert "Performance of the procedure, not of this model" in card
    assert "2/3 of the patients" in card
    assert "is not defined in outer fold 2" in card
    assert "## Held-out performance" not in card


def test_each_fold_is_called_at_its_own_threshold_and_the_counts_are_added_up(folds, evaluation):
    points = evaluation.metrics["operating_points"]
    assert len(points) == 4
    for place, point in enumerate(points):
        own = [metrics["operating_points"][place] for metrics in folds.metrics]
        for count in ("true_positives", "positives", "false_positives", "negatives"):
            assert point[count] == sum(part[count] for part in own)
        assert list(point["thresholds"]) == [part["threshold"] for part in own]
        assert point["sensitivity"]["value"] == pytest.approx(point["true_positives"] / point["positives"])
        assert point["sensitivity"]["lower"] < point["sensitivity"]["value"] < point["sensitivity"]["upper"]


def test_slices_do_not_compare_cases_of_different_models(folds, evaluation):
    shown = [result for result in evaluation.subgroups if not result.suppressed]
    assert len(shown) >= 5
    # Each fold's model favours another class: within a fold the ranking is untouched.
    offset = np.exp(3 * np.eye(3)[folds.fold_of_case - 1])
    moved = folds.exported.probabilities * offset
    biased = replace(folds.exported, probabilities=moved / moved.sum(axis=1, keepdims=True))
    attributes = {image: CaseAttributes("F") for image in biased.image_ids}
    plain, within = (subgroup_results(biased, attributes, folds=part)[0] for part in (None, folds.fold_of_case))
    parts = [np.flatnonzero(folds.fold_of_case == number) for number in (1, 2, 3)]
    pairs = [(biased.labels[rows] == 2).sum() * (biased.labels[rows] != 2).sum() for rows in parts]
    aucs = [one_vs_rest_auc(biased.labels[rows], biased.probabilities[rows, 2], 2) for rows in parts]
    expected = sum(auc * count for auc, count in zip(aucs, pairs, strict=True) if count) / sum(pairs)
    assert within.auc.value == pytest.approx(expected)
    assert plain.auc.value != pytest.approx(expected, abs=0.01)


def test_the_page_of_a_nested_run_has_thresholds_slices_and_net_benefit(page):
    assert "Each outer fold has thresholds of its own" in page
    assert "tissue: fatty (F)" in page
    assert all(f'id="figure-{name}"' in page for name in ("decision_curve", "subgroups"))
