"""Whether a search was worth it, and whether there was enough: figures and the sentences about them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reports.evaluation.baselines import BaselineResult, baselines_section, fold_macro_auc
from reports.evaluation.bbc_cv import bbc_cv, incumbents
from reports.evaluation.nested import nested_baselines
from reports.metrics.auc import fold_averaged_macro_auc
from reports.metrics.resampling import patient_weights
from reports.page.report import render_model_card, render_report
from reports.page.run_summary import RunSummary
from reports.page.worth import enough_words, worth_verdict
from tests.support.simulated import simulated_predictions

FOLDS = np.arange(240) // 2 % 5


def result(name: str, separation: float) -> BaselineResult:
    development = simulated_predictions(patients=120, seed=5, separation=separation)
    held_out = simulated_predictions(patients=40, separation=separation)
    return BaselineResult(name, "a few words | more", development, FOLDS, (1 / 3, 1 / 3, 1 / 3), (held_out,))


def test_the_best_so_far_is_scored_on_the_patients_that_did_not_choose_it() -> None:
    tables = [simulated_predictions(patients=120, seed=5, separation=s) for s in (0.3, 0.2, 0.9, 0.25, 0.9)]
    scores, labels = np.stack([table.probabilities for table in tables]), tables[0].labels
    found = incumbents(labels, scores, tables[0].patient_ids, FOLDS, resamples=200)
    assert found[-1] == bbc_cv(labels, scores, tables[0].patient_ids, FOLDS, resamples=200)
    drawn = patient_weights(tables[0].patient_ids, resamples=200)
    inside = fold_averaged_macro_auc(labels, scores, FOLDS, drawn)
    whole = fold_averaged_macro_auc(labels, scores, FOLDS, np.ones((1, len(labels))))[:, 0]
    for count, best in enumerate(found, start=1):
        chosen = inside[:count].argmax(axis=0)
        outside = [
            fold_averaged_macro_auc(labels, scores[[each]], FOLDS, (drawn[[draw]] == 0).astype(float))[0, 0]
            for draw, each in enumerate(chosen)
        ]
        assert (best.candidates, best.selected) == (count, whole[:count].max())
        assert best.corrected.value == pytest.approx(np.nanmean(outside))
        assert best.corrected.lower == pytest.approx(np.nanquantile(outside, 0.025))
        assert best.corrected.undefined == np.isnan(outside).sum()
        assert best.stability == np.mean(chosen == whole[:count].argmax())


def test_a_baseline_is_scored_as_the_search_scores_and_compared_with_what_choosing_yields() -> None:
    winner, rival = simulated_predictions(patients=40, separation=2.0), result("linear probe", 0.4)
    labels, patients = rival.development.labels, rival.development.patient_ids
    candidates = np.stack([simulated_predictions(patients=120, seed=5, separation=1.5).probabilities])
    selection = bbc_cv(labels, candidates, patients, FOLDS, resamples=200)
    (section,) = baselines_section(winner, [rival], selection)
    own = fold_macro_auc(rival.development, FOLDS)
    assert own.value == bbc_cv(labels, rival.development.probabilities[None], patients, FOLDS, resamples=5).selected
    assert section["out_of_fold"]["macro_ovr_auc"]["value"] == own.value
    assert section["out_of_fold"]["difference"] == pytest.approx(selection.corrected.value - own.value)
    assert section["difference"]["primary_auc"]["lower"] > 0
    (without,) = baselines_section(winner, [rival], None)
    assert without["out_of_fold"]["difference"] is None


def entry(name: str, value: float | None, lower: float | None, upper: float | None) -> dict[str, Any]:
    return {"name": name, "difference": {"primary_auc": {"value": value, "lower": lower, "upper": upper}}}


@pytest.mark.parametrize(
    ("probe", "fixed", "expected"),
    [
        (
            (0.03, -0.04, 0.1),
            (-0.012, -0.05, 0.03),
            "0.030 higher than the linear probe's (95 % interval −0.040 to 0.100) and 0.012 lower than the fixed "
            "configuration's (95 % interval −0.050 to 0.030): the data can't tell them apart.",
        ),
        ((0.2, 0.1, 0.3), (0.1, 0.01, 0.2), "(95 % interval 0.010 to 0.200): yes."),
        (
            (0.2, 0.1, 0.3),
            (0.1, -0.01, 0.2),
            ": better than the linear probe, and the data can't tell it from the fixed configuration.",
        ),
        ((0.2, 0.1, 0.3), (-0.1, -0.2, -0.01), ": no, the fixed configuration did better."),
        ((None, None, None), (0.0, None, None), "equal to the fixed configuration's (no interval): the data can't"),
    ],
)
def test_the_sentence_says_what_the_intervals_say(probe: Any, fixed: Any, expected: str) -> None:
    given = {"linear probe": probe, "fixed configuration": fixed, "trivial statistics": (1, 1, 1)}
    entries = [entry(name, *limits) for name, limits in given.items()]
    metrics = {"n_patients": 40, "primary_endpoint": "malignant versus rest", "baselines": entries}
    said = worth_verdict(metrics)
    assert said.startswith("On the 40 held-out women the winner's AUC of malignant versus rest is ")
    assert expected in said
    assert "trivial" not in said
    assert worth_verdict({**metrics, "protocol": "nested"}).startswith("On all 40 women, each left out once, the w")


def test_page_and_card_show_winner_and_baselines_and_leave_out_what_an_older_run_lacks(summary: RunSummary) -> None:
    winner = simulated_predictions(patients=40)
    rivals = [result("linear probe", 0.4), result("trivial statistics", 0.1)]
    point = {"value": 0.71, "lower": 0.6, "upper": 0.8}
    enough = {
        "by_trials": [{"trials": at, "trial": at, "selected": 0.8, "macro_ovr_auc": point} for at in (1, 2, 3, 4)],
        "by_patients": [{"share": s, "patients": 96 * s, "macro_ovr_auc": {**point, "value": s}} for s in (0.5, 1.0)],
    }
    found = {"baselines": baselines_section(winner, rivals, None), "enough": enough}
    whole = replace(summary, metrics={**summary.metrics, **found})
    page, card = render_report(whole), render_model_card(whole)
    assert "Was the search worth it?" in page
    assert "Was the search worth it?" in card
    assert '<th data-column="Model" scope="row">trivial statistics</th>' in page
    assert "| Linear probe: a few words / more |" in card
    words = enough_words(whole.metrics)
    assert words[0].endswith("of 0.710 after 1, 0.710 after 2 and 0.710 after 4.")
    assert words[1].endswith("was 0.500 with 48 and 1.000 with 96 of them in training; the last step gave +0.500.")
    for each in words:
        assert each.replace("'", "&#39;") in page
        assert each in card
    older = {name: value for name, value in summary.metrics.items() if name not in found}
    alone = replace(summary, metrics=older)
    assert "worth it?" not in render_report(alone)
    assert "This run has trained none." in render_report(alone)
    assert "worth it?" not in render_model_card(alone)


def test_nested_differences_are_means_over_the_folds_on_resamples_within_them() -> None:
    winners, others = (simulated_predictions(patients=40, separation=s) for s in (2.0, 0.4))
    folds = np.arange(80) // 2 % 2 + 1
    metrics = [{"baselines": [{"name": "linear probe", "what": "words"}]}] * 2
    (section,) = nested_baselines(winners, {"linear probe": others}, folds, metrics)
    (same,) = nested_baselines(winners, {"linear probe": winners}, folds, metrics)
    assert (section["name"], section["what"]) == ("linear probe", "words")
    difference = section["difference"]["macro_ovr_auc"]
    by_fold = [fold_macro_auc(table, folds).value or 0.0 for table in (winners, others)]
    assert difference["value"] == pytest.approx(by_fold[0] - by_fold[1])
    assert 0 < difference["lower"] < difference["value"] < difference["upper"]
    assert same["difference"]["primary_auc"]["value"] == 0
