from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.decisions.decision_curve import decision_curve
from reports.decisions.operating_points import fixed_thresholds, operating_points, threshold_at_specificity
from reports.errors import ReportError
from reports.evaluation.bbc_cv import bbc_cv
from reports.evaluation.evaluate import curve_section, evaluate
from reports.evaluation.final_models import FoldEnsemble
from reports.evaluation.nested import nested_metrics
from reports.evaluation.subgroups import CaseAttributes, radius_terciles, subgroup_results
from reports.figures.probabilities import draw_decision_curve
from reports.figures.style import save
from reports.figures.write import write_evaluation_figures
from reports.metrics.auc import WeightedRanking, fold_averaged_macro_auc
from reports.metrics.table import macro_ovr_auc, one_vs_rest_auc, primary_scores
from reports.predictions import Predictions
from tests.support.comparing import assert_close
from tests.support.simulated import simulated_predictions


def renamed(table: Predictions, prefix: str) -> Predictions:
    return replace(table, patient_ids=tuple(prefix + name for name in table.patient_ids))


def rounded(table: Predictions) -> Predictions:
    """Probabilities in sixteenths, whose sums are exact."""
    sixteenths = np.floor(table.probabilities * 16)
    sixteenths[:, 0] += 16 - sixteenths.sum(axis=1)
    return replace(table, probabilities=sixteenths / 16)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=1, max_size=40), st.sampled_from([0.5, 0.9, 1.0]))
def test_a_threshold_is_the_lowest_score_that_keeps_the_specificity(
    cases: list[tuple[bool, int]], target: float
) -> None:
    positive = np.array([side for side, _ in cases])
    scores = np.array([score / 8 for _, score in cases])
    if positive.all():
        with pytest.raises(ReportError, match="negative case"):
            threshold_at_specificity(positive, scores, target)
        return
    threshold = threshold_at_specificity(positive, scores, target)
    negatives = scores[~positive]
    assert (negatives < threshold).mean() >= target
    for lower in np.unique(scores[scores < threshold]):
        assert (negatives < lower).mean() < target


def test_operating_points_count_what_a_reader_would_count() -> None:
    """The thresholds are scores of the development cases, and some cases of each table have the very same score."""
    inner = rounded(renamed(simulated_predictions(patients=100, seed=1), "d"))
    outer = rounded(simulated_predictions(patients=40, seed=2))
    folds = np.arange(200) // 2 % 4
    points = operating_points(inner, outer, folds=folds)
    assert [(point.endpoint, point.target_specificity) for point in points] == [
        ("malignant versus rest", 0.90),
        ("malignant versus rest", 0.95),
        ("abnormal versus normal", 0.90),
        ("abnormal versus normal", 0.95),
    ]
    ties = np.zeros(2, dtype=np.int64)
    for point, worst in zip(points, (2, 2, 1, 1), strict=True):
        positive, scores = inner.labels >= worst, inner.probabilities[:, worst:].sum(axis=1)
        threshold = min(score for score in scores if np.mean(scores[~positive] < score) >= point.target_specificity)
        assert point.threshold == threshold
        assert point.development_specificity == pytest.approx(np.mean(scores[~positive] < threshold))
        assert point.development_sensitivity == pytest.approx(np.mean(scores[positive] >= threshold))
        for fold in range(4):
            below = scores[(folds == fold) & ~positive]
            own = min(each for each in scores[folds == fold] if np.mean(below < each) >= point.target_specificity)
            assert point.fold_thresholds[fold] == own
            assert point.fold_specificities[fold] == pytest.approx(np.mean(below < threshold))
        positive, scores = outer.labels >= worst, outer.probabilities[:, worst:].sum(axis=1)
        called = scores >= threshold
        assert (point.positives, point.negatives) == (positive.sum(), (~positive).sum())
        assert point.true_positives == int((called & positive).sum())
        assert point.false_positives == int((called & ~positive).sum())
        assert point.sensitivity.value == pytest.approx(point.true_positives / point.positives)
        assert point.specificity.value == pytest.approx(1 - point.false_positives / point.negatives)
        assert point.wilson_sensitivity.lower < point.sensitivity.value < point.wilson_sensitivity.upper
        ties += np.bincount(positive[scores == threshold], minlength=2)
    assert ties.all(), "where a score equals the threshold it is seen that it is called positive"
    with pytest.raises(ReportError, match="40 in both"):
        operating_points(outer, outer)


def test_net_benefit_equals_its_definition() -> None:
    table = simulated_predictions()
    positive, scores = primary_scores(table)
    curve = decision_curve(table, positive, scores)
    t = curve.thresholds[20]
    called = scores >= t
    n = len(table)
    expected = (called & positive).sum() / n - (called & ~positive).sum() / n * t / (1 - t)
    assert curve.model[20] == pytest.approx(expected, abs=1e-12)
    assert (curve.lower <= curve.model).all()
    assert (curve.model <= curve.upper).all()
    everyone = decision_curve(table, positive, np.ones(n))
    assert everyone.model == pytest.approx(everyone.all_positive, abs=1e-12)


def test_a_band_that_one_woman_would_decide_is_not_drawn(tmp_path: Path) -> None:
    table = simulated_predictions()
    malignant = np.flatnonzero(table.labels == 2)[:1]
    table = table.take(np.union1d(np.flatnonzero(table.labels != 2), malignant))
    curve = decision_curve(table, *primary_scores(table))
    called = primary_scores(table)[1][table.labels == 2] >= curve.thresholds
    # Called or not, she is one of one: exact limits. There is a band, and it is wide; without her there would be none.
    assert np.isfinite(curve.lower).all()
    assert (curve.upper - curve.lower)[called].min() > 0.9 / len(table)
    halves = simulated_predictions(patients=2).take([0, 1, 2, 3])
    labels, scores = np.array([2, 2, 0, 0]), np.array([[0.1, 0, 0.9], [0.9, 0, 0.1], [0.9, 0, 0.1], [0.9, 0, 0.1]])
    halves = replace(halves, labels=labels, probabilities=scores)
    lone = decision_curve(halves, *primary_scores(halves))
    half = (lone.thresholds > 0.1) & (lone.thresholds < 0.6)
    assert np.isnan(lone.upper[half]).all()
    assert curve_section(lone)["upper"][30] is None
    save(draw_decision_curve(lone, endpoint="malignant versus rest"), tmp_path / "curve.png")


def test_small_slices_keep_their_counts_and_lose_their_value() -> None:
    table = simulated_predictions(patients=60, seed=3)
    attributes = {
        image: CaseAttributes("D" if row < 100 else "F", ("CALC",) if label else (), 10.0 + row if label else None)
        for row, (image, label) in enumerate(zip(table.image_ids, table.labels, strict=True))
    }
    results = subgroup_results(table, attributes, radius_cuts=radius_terciles(attributes))
    by_slice = {(result.group, result.level): result for result in results}
    small, large = by_slice["tissue", "F"], by_slice["tissue", "D"]
    assert small.suppressed
    assert small.auc.value is None
    assert small.images == 20
    rows = np.arange(100)
    assert large.auc.value == pytest.approx(one_vs_rest_auc(table.labels[rows], table.probabilities[rows, 2], 2))
    assert large.auc.lower is not None
    every = by_slice["abnormality", "CALC"]
    assert every.positives + every.negatives == 120
    terciles = [result for result in results if result.group == "radius"]
    assert sum(result.positives for result in terciles) == every.positives
    affected = by_slice["other breast", "affected women"]
    assert affected.positives == every.positives
    assert affected.negatives < every.negatives


def test_choosing_among_coin_tosses_is_corrected_to_chance() -> None:
    rng = np.random.default_rng(0)
    n = 240
    labels = rng.integers(0, 3, n)
    patients = tuple(f"p{row // 2}" for row in range(n))
    folds = np.arange(n) // 2 % 5
    noise = rng.dirichlet(np.ones(3), size=(30, n))
    found = bbc_cv(labels, noise, patients, folds, resamples=300)
    assert found.selected is not None
    assert found.selected > 0.54
    assert found.corrected.value == pytest.approx(0.5, abs=0.03)
    assert bbc_cv(labels, noise, patients, folds, resamples=300) == found
    one = bbc_cv(labels, noise[:1], patients, folds, resamples=300)
    assert one.stability == 1
    assert one.corrected.value == pytest.approx(one.selected, abs=0.02)
    with pytest.raises(ReportError, match="a patient in two folds"):
        bbc_cv(labels, noise, patients, np.arange(n) % 5)


def test_a_clear_winner_keeps_its_score() -> None:
    good = simulated_predictions(patients=120, seed=4, separation=3)
    noise = np.random.default_rng(0).dirichlet(np.ones(3), size=(5, len(good)))
    candidates = np.concatenate([noise, good.probabilities[None]])
    found = bbc_cv(good.labels, candidates, good.patient_ids, np.arange(240) // 2 % 3, resamples=200)
    assert found.winner == 5
    assert found.stability == 1
    assert found.corrected.value == pytest.approx(found.selected, abs=0.01)


def test_many_candidates_score_as_one_does_by_its_ranking() -> None:
    rng = np.random.default_rng(1)
    labels, folds = rng.integers(0, 3, 60), rng.integers(0, 4, 60)
    labels[(folds == 3) & (labels == 2)] = 0  # a fold that never defines one of the classes
    tied = rng.dirichlet(np.ones(3), size=(7, 60)).round(1)
    weights = rng.integers(0, 3, (40, 60)).astype(np.float64)
    weights[0] = labels != 1  # nothing to tell from the second class
    found = fold_averaged_macro_auc(labels, tied, folds, weights)
    for number, candidate in enumerate(tied):
        aucs = [
            [
                WeightedRanking.of((labels == k)[rows], candidate[rows, k], weights[:, rows]).auc()
                for rows in (folds == fold for fold in range(4))
            ]
            for k in range(3)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a mean over no fold
            expected = np.nanmean(aucs, axis=1).mean(axis=0)
        np.testing.assert_allclose(found[number], expected, rtol=1e-12)
    assert np.isnan(found[:, 0]).all()
    assert np.isfinite(found[:, 1:]).all()


def test_equal_candidates_give_way_to_the_first_in_every_resample() -> None:
    table = simulated_predictions(patients=60, seed=4, separation=1)
    candidates = np.stack([table.probabilities] * 4)
    folds = np.arange(len(table)) // 2 % 3
    found = bbc_cv(table.labels, candidates, table.patient_ids, folds, resamples=200)
    assert (found.winner, found.stability, found.candidates) == (0, 1, 4)


def test_nested_metrics_do_not_compare_cases_of_different_models() -> None:
    table = simulated_predictions(patients=90, seed=6)
    folds = np.arange(len(table)) // 2 % 3
    # Each fold's model favours another class: within a fold the ranking is untouched.
    offset = np.exp(3 * np.eye(3)[folds])
    shifted = table.probabilities * offset
    biased = replace(table, probabilities=shifted / shifted.sum(axis=1, keepdims=True))
    nested = nested_metrics(biased, folds)
    expected = np.mean([macro_ovr_auc(table.labels[folds == k], biased.probabilities[folds == k]) for k in range(3)])
    assert nested["macro_ovr_auc"]["value"] == pytest.approx(expected)
    assert nested["pooled"]["macro_ovr_auc"]["value"] < nested["macro_ovr_auc"]["value"] - 0.03
    assert len(nested["outer_folds"]) == 3
    assert nested["n"] == 180
    json.dumps(nested, allow_nan=False)
    with pytest.raises(ReportError, match="a patient in two"):
        nested_metrics(table, np.arange(len(table)) % 3)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_an_evaluation_without_a_class_says_so_and_does_not_crash(missing: int, tmp_path: Path) -> None:
    held_out = simulated_predictions(patients=30, seed=1)
    held_out = held_out.take(np.flatnonzero(held_out.labels != missing))
    development = renamed(simulated_predictions(patients=60, seed=2), "d")
    for inner in (development, development.take(np.flatnonzero(development.labels != missing))):
        evaluation = evaluate(
            held_out,
            development=inner,
            training_shares=(1, 1, 1),
            attributes={image: CaseAttributes("F") for image in held_out.image_ids},
        )
        text = json.dumps(evaluation.metrics, allow_nan=False)
        assert evaluation.metrics["macro_ovr_auc"]["value"] is None
        assert len(text) > 1000
        write_evaluation_figures(evaluation, tmp_path)


def test_a_fold_that_can_t_say_a_threshold_says_none() -> None:
    """Its highest score is a negative's, or it has no negative at all; one fold, or none named, is one set of cases."""
    inner = renamed(simulated_predictions(patients=60, seed=2), "d")
    scores, malignant = inner.probabilities[:, 2], inner.labels == 2
    folds = np.zeros(120, np.int64)
    folds[np.flatnonzero(malignant)[:3]] = 1
    top = np.flatnonzero(~malignant)[np.argsort(scores[~malignant])[-1]]
    low = np.flatnonzero(malignant)[3:][np.argsort(scores[malignant][3:])[0]]
    folds[[top, low]] = 2
    assert scores[top] > scores[low]
    point = fixed_thresholds(inner, folds)[0]
    assert point.fold_thresholds[1:] == (None, None)
    assert point.fold_specificities[1:] == (None, 0.0)
    alone = fixed_thresholds(inner)[0]
    assert alone.fold_thresholds == (alone.threshold,) == (point.threshold,)


def test_the_exported_model_s_metrics_stand_beside_the_corrected_ones() -> None:
    held_out = simulated_predictions(patients=40)
    sure = np.exp(4 * np.log(held_out.probabilities))
    held_out = replace(held_out, probabilities=sure / sure.sum(axis=1, keepdims=True))
    inner = simulated_predictions(patients=120, seed=9)
    sure = np.exp(4 * np.log(inner.probabilities))
    development = renamed(replace(inner, probabilities=sure / sure.sum(axis=1, keepdims=True)), "d")
    metrics = evaluate(held_out, development=development).metrics
    calibration = metrics["calibration"]
    assert calibration["temperature"] > 2
    assert calibration["corrected"]["log_loss"]["value"] < calibration["uncorrected"]["log_loss"]["value"]
    assert metrics["log_loss"]["value"] == calibration["uncorrected"]["log_loss"]["value"]


def test_the_order_of_the_cases_changes_nothing_of_an_evaluation() -> None:
    held_out = simulated_predictions(patients=40, seed=3)
    development = renamed(simulated_predictions(patients=60, seed=2), "d")
    attributes = {
        image: CaseAttributes("FG"[row // 2 % 2], ("CALC",) if label else (), float(row) if label else None)
        for row, (image, label) in enumerate(zip(held_out.image_ids, held_out.labels, strict=True))
    }

    def metrics(held: Predictions, inner: Predictions) -> dict[str, Any]:
        found = evaluate(
            held,
            development=inner,
            training_shares=(1, 1, 1),
            attributes=attributes,
            radius_cuts=(30.0, 50.0),
            ensemble=FoldEnsemble((held, held), exact=True),
        )
        return json.loads(json.dumps(found.metrics))

    rng = np.random.default_rng(0)
    shuffled = [table.take(rng.permutation(len(table))) for table in (held_out, development)]
    # The temperature is found by a search, and with it all that depends on it to so many digits.
    assert_close(metrics(*shuffled), metrics(held_out, development), tolerance=1e-5)
