"""Four corrections compared out of fold: what does not help is not applied."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import log_loss

from reports.decisions.correction import MARGIN, ChosenCorrection, fit_correction
from reports.decisions.probabilities import (
    ProbabilityCorrection,
    corrected_predictions,
    fit_temperature,
    log_prior_shift,
    logits_of,
)
from reports.errors import ReportError
from reports.evaluation.evaluate import evaluate
from reports.metrics.calibration import softmax
from reports.predictions import Predictions

NATURAL = np.array([0.64, 0.2, 0.16])
PATIENTS = 120


def answers(
    seed: int = 0, *, scale: float | np.ndarray = 1.0, prior: float = 1.0, patients: int = PATIENTS
) -> Predictions:
    """What a network says of two images a patient: scale 1 and prior 1 are an honest one at natural prevalence.

    Args:
        seed: Of the cases.
        scale: Factor on the logits, above 1 for one that is too sure; a number, or one a patient.
        prior: Share of the natural prior that it answers with; 0 for one that answers for a balanced world.
        patients: How many.
    """
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, p=NATURAL, size=2 * patients)
    labels[:3] = 0, 1, 2
    # Of a normal distribution a class, one apart: its log likelihoods are the evidence times the distance.
    evidence = rng.normal(size=(2 * patients, 3)) + 2 * np.eye(3)[labels]
    logits = (2 * evidence + prior * np.log(NATURAL)) * np.repeat(np.broadcast_to(scale, patients), 2)[:, None]
    return Predictions(
        image_ids=tuple(f"image {number}" for number in range(2 * patients)),
        patient_ids=tuple(f"patient {number // 2}" for number in range(2 * patients)),
        labels=labels,
        probabilities=softmax(logits),
        class_names=("normal", "benign", "malignant"),
    )


FOLDS = np.repeat(np.arange(PATIENTS) % 5, 2)


def chosen(table: Predictions, folds: np.ndarray | None = FOLDS, **options: int) -> ChosenCorrection:
    found = fit_correction(table, (1, 1, 1), folds=folds, **options)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("scale", "prior", "kinds"),
    [
        (1.0, 1.0, {"none"}),
        (3.0, 1.0, {"temperature"}),
        (1.0, 0.0, {"prior", "both"}),
        (3.0, 0.0, {"both", "temperature"}),
    ],
    ids=["honest", "too sure", "balanced", "balanced and too sure"],
)
def test_each_network_gets_the_correction_that_it_lacks(scale: float, prior: float, kinds: set[str]) -> None:
    table, new = answers(scale=scale, prior=prior), answers(1, scale=scale, prior=prior, patients=2000)
    found = chosen(table)
    assert found.correction.kind in kinds
    before, after = (
        log_loss(each.labels, each.probabilities) for each in (new, corrected_predictions(new, found.correction))
    )
    assert after <= before
    assert (after < before - 0.01) == (found.correction.kind != "none")


@pytest.mark.slow
def test_a_correction_that_helps_by_less_than_a_standard_error_is_not_applied() -> None:
    undecided = 0
    for seed in range(20):
        found = chosen(answers(seed, scale=1.3))
        tried = [each for each in found.candidates if each.difference is not None and each.name != "none"]
        assert (found.correction.kind != "none") == any(each.difference + each.standard_error < 0 for each in tried)
        undecided += any(-each.standard_error < each.difference < 0 for each in tried)
    assert undecided > 3, "the test would see no difference"


def test_without_a_correction_the_probabilities_are_the_very_same() -> None:
    table = answers()
    correction = chosen(table).correction
    assert (correction.temperature, correction.log_prior_shift) == (1, (0, 0, 0))
    assert correction.cases == len(table)
    assert correction.loss == pytest.approx(log_loss(table.labels, table.probabilities))
    assert corrected_predictions(table, correction) is table


def fitted(table: Predictions, kind: str) -> ProbabilityCorrection:
    shift = log_prior_shift(np.bincount(table.labels), (1, 1, 1)) if kind in ("prior", "both") else None
    if kind in ("none", "prior"):
        return ProbabilityCorrection(1.0, shift or (0.0, 0.0, 0.0))
    return fit_temperature(logits_of(table), table.labels, shift=shift, independent=table.n_patients)


def test_beside_a_temperature_the_shift_is_what_the_cases_ask_for_and_begins_at_the_textbook_s() -> None:
    """A network that is too sure of a world that is balanced by half: the whole shift would be too much."""
    table, new = answers(scale=2.0, prior=0.5, patients=600), answers(1, scale=2.0, prior=0.5, patients=2000)
    shift = log_prior_shift(np.bincount(table.labels), (1, 1, 1))
    found = fit_temperature(logits_of(table), table.labels, shift=shift, independent=table.n_patients)
    asked = np.array(found.log_prior_shift)
    half = np.array(shift) / 2
    assert asked - asked.mean() == pytest.approx(half - half.mean(), abs=0.25)
    assert found.temperature == pytest.approx(2.0, rel=0.15)
    after = corrected_predictions(new, found).probabilities[:, 2]
    assert after.mean() == pytest.approx((new.labels == 2).mean(), abs=0.01)
    few = fit_temperature(logits_of(table)[:3], table.labels[:3], shift=shift)
    assert few.log_prior_shift == pytest.approx(shift, abs=0.3)


def test_every_case_is_tried_under_what_the_other_folds_gave_and_the_chosen_one_is_fitted_on_all() -> None:
    table = answers(scale=2.0, prior=0.5)
    found = chosen(table)
    assert [each.name for each in found.candidates] == ["none", "prior", "temperature", "both"]
    losses = {}
    for each in found.candidates:
        tried = np.empty(len(table))
        for fold in range(5):
            correction = fitted(table.take(np.flatnonzero(fold != FOLDS)), each.name)
            rows = np.flatnonzero(fold == FOLDS)
            given = correction.probabilities(np.log(table.probabilities[rows]))
            tried[rows] = -np.log(given[np.arange(len(rows)), table.labels[rows]])
        losses[each.name] = tried
        difference = tried - losses["none"]
        assert each.log_loss == pytest.approx(tried.mean())
        assert each.difference == pytest.approx(difference.mean())
        by_patient, by_fold = (
            np.array([(difference - difference.mean())[unit == one].sum() for one in np.unique(unit)])
            for unit in (np.repeat(np.arange(PATIENTS), 2), FOLDS)
        )
        errors = [np.std(sums, ddof=1) * len(sums) ** 0.5 / len(table) for sums in (by_patient, by_fold)]
        assert each.standard_error == pytest.approx(max(errors))
    may = [each for each in found.candidates if each.difference + MARGIN * each.standard_error < 0]
    best = min(may, key=lambda each: each.log_loss)
    assert found.correction.kind == best.name
    everyone = fitted(table, best.name)
    assert found.correction.temperature == pytest.approx(everyone.temperature)
    assert found.correction.log_prior_shift == pytest.approx(everyone.log_prior_shift)


def test_fold_models_that_share_no_scale_get_no_temperature() -> None:
    """Each is too sure, or too unsure, by a factor of its own: what the others need does not help the next one."""
    scale = np.array([4.0, 0.3, 3.0, 0.25, 1.0])[np.arange(PATIENTS) % 5]
    found = chosen(answers(scale=scale))
    assert found.correction.kind == "none"


def test_training_at_natural_prevalence_has_no_prior_to_put_back() -> None:
    found = fit_correction(answers(), None, folds=FOLDS)
    assert found is not None
    assert [each.name for each in found.candidates] == ["none", "temperature"]


@pytest.mark.parametrize("folds", [None, np.zeros(2 * PATIENTS, np.int64)], ids=["none", "one"])
def test_with_one_fold_patients_are_drawn_into_groups(folds: np.ndarray | None) -> None:
    table = answers(scale=3.0)
    found = chosen(table, folds, seed=3)
    assert found.correction.kind == "temperature"
    order = np.random.default_rng(0).permutation(len(table))
    again = chosen(table.take(order), None if folds is None else folds[order], seed=3)
    for one, other in zip(found.candidates, again.candidates, strict=True):
        assert one.log_loss == pytest.approx(other.log_loss, rel=1e-6)
    others = chosen(table, folds, seed=4)
    assert others.candidates[2].log_loss != pytest.approx(found.candidates[2].log_loss, rel=1e-9)


def test_both_images_of_a_patient_are_tried_together() -> None:
    """Each patient's images are one image twice: with one of the two at hand a temperature would seem to be known."""
    from reports.decisions.correction import _groups

    table = answers()
    groups = _groups(table, 0)
    assert (groups[0::2] == groups[1::2]).all()
    worst = table.labels.reshape(-1, 2).max(axis=1)
    dealt = np.array([np.bincount(worst[groups[0::2] == group], minlength=3) for group in range(5)])
    assert np.ptp(dealt, axis=0).max() <= 1


def test_a_patient_in_two_folds_is_refused() -> None:
    with pytest.raises(ReportError, match="a patient in two folds"):
        fit_correction(answers(), (1, 1, 1), folds=np.arange(2 * PATIENTS) % 5)


def test_where_a_class_is_in_one_fold_alone_nothing_can_be_tried_and_nothing_is_applied() -> None:
    table = answers(scale=4.0)
    first = np.flatnonzero(table.labels == 2)[:1]
    table = table.take(np.sort(np.concatenate([np.flatnonzero(table.labels != 2), first])))
    folds = np.array([int(name.split()[1]) % 5 for name in table.patient_ids])
    found = chosen(table, folds)
    assert {(each.log_loss, each.difference, each.standard_error) for each in found.candidates} == {(None, None, None)}
    assert found.correction.kind == "none"
    assert fit_correction(table.take(np.flatnonzero(table.labels != 2)), (1, 1, 1)) is None


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_an_evaluation_says_what_was_compared_and_what_is_applied(scale: float) -> None:
    development = answers(scale=scale)
    held_out = answers(5, scale=scale, patients=40)
    held_out = replace(held_out, patient_ids=tuple(f"held out {name}" for name in held_out.patient_ids))
    found = evaluate(held_out, development=development, folds=FOLDS, training_shares=(1, 1, 1))
    section = found.metrics["calibration"]
    choice = chosen(development)
    assert section["chosen"] == choice.correction.kind == ("none" if scale == 1 else "temperature")
    assert [each["name"] for each in section["candidates"]] == ["none", "prior", "temperature", "both"]
    assert [each["log_loss"] for each in section["candidates"]] == [each.log_loss for each in choice.candidates]
    assert (section["corrected"] == section["uncorrected"]) == (scale == 1)
    assert (found.corrected is found.predictions) == (scale == 1)
