"""Figures a woman, against a table that pandas has grouped by her."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from reports.evaluation.evaluate import evaluate, evaluate_fixed
from reports.evaluation.nested import evaluate_nested
from reports.predictions import Predictions
from tests.support.simulated import simulated_predictions

ORDER = np.random.default_rng(2).permutation(80)
HELD_OUT = simulated_predictions(patients=40).take(ORDER)
INNER = simulated_predictions(patients=90, seed=3)
DEVELOPMENT = replace(INNER, patient_ids=tuple(f"d{name}" for name in INNER.patient_ids))


def women(table: Predictions, endpoint: str) -> pd.DataFrame:
    """Whether each woman is ill, and her highest score."""
    worst = endpoint.startswith("malignant")
    scores = table.probabilities[:, 2] if worst else table.probabilities[:, 1:].sum(axis=1)
    ill = table.labels == 2 if worst else table.labels > 0
    images = pd.DataFrame({"woman": table.patient_ids, "ill": ill, "score": scores})
    return images.groupby("woman").max()


def test_the_worst_of_her_images_decides() -> None:
    found = evaluate(HELD_OUT, development=DEVELOPMENT, training_shares=(1, 1, 1))
    section, corrected = found.metrics["by_patient"], found.corrected or HELD_OUT
    assert section["n"] == 40
    for area in section["areas"]:
        grouped = women(HELD_OUT, area["endpoint"])
        assert (area["positives"], area["negatives"]) == (grouped.ill.sum(), (~grouped.ill).sum())
        assert area["auc"]["value"] == pytest.approx(roc_auc_score(grouped.ill, grouped.score))
        assert area["auc"]["lower"] < area["auc"]["value"] < area["auc"]["upper"]
    points = found.metrics["operating_points"]
    for whole, point in zip(points, section["operating_points"], strict=True):
        grouped = women(corrected, point["endpoint"])
        called = grouped.score >= whole["threshold"]
        assert point["target_specificity"] == whole["target_specificity"]
        assert (point["true_positives"], point["positives"]) == ((called & grouped.ill).sum(), grouped.ill.sum())
        assert (point["false_positives"], point["negatives"]) == ((called & ~grouped.ill).sum(), (~grouped.ill).sum())
        assert point["specificity"]["value"] <= whole["specificity"]["value"] + 1e-12
        # A woman is one draw: her share has the exact limits of a count where all women of her class alike are counted.
        if point["true_positives"] in (0, point["positives"]):
            exact = stats.binomtest(point["true_positives"], point["positives"]).proportion_ci(method="exact")
            limits = point["sensitivity"]["lower"], point["sensitivity"]["upper"]
            assert limits == pytest.approx((exact.low, exact.high))


def test_an_exported_model_s_thresholds_are_judged_by_the_woman_too() -> None:
    section = evaluate_fixed(HELD_OUT, correction=None)["by_patient"]
    assert [area["endpoint"] for area in section["areas"]] == ["malignant versus rest", "abnormal versus normal"]
    assert section["operating_points"] == []


def test_in_a_nested_run_women_are_ranked_within_their_fold_and_called_by_its_threshold() -> None:
    folds = np.unique(HELD_OUT.patient_ids, return_inverse=True)[1] % 2 + 1
    points = [{"endpoint": "malignant versus rest", "target_specificity": 0.9, "threshold": t} for t in (0.2, 0.7)]
    metrics = [{"operating_points": [point]} for point in points]
    section = evaluate_nested(HELD_OUT, HELD_OUT, folds, metrics, attributes={}).metrics["by_patient"]
    grouped = women(HELD_OUT, "malignant")
    fold = pd.Series(folds, index=HELD_OUT.patient_ids).groupby(level=0).first()
    areas = [roc_auc_score(part.ill, part.score) for _, part in grouped.groupby(fold)]
    assert section["areas"][0]["auc"]["value"] == pytest.approx(np.mean(areas))
    called = grouped.score >= fold.map({1: 0.2, 2: 0.7})
    (point,) = section["operating_points"]
    assert point["true_positives"] == (called & grouped.ill).sum()
    assert point["false_positives"] == (called & ~grouped.ill).sum()
