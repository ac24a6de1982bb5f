"""Curves made by hand, and what is said of them."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import NDArray

from reports.evaluation.convergence import Convergence, convergence
from reports.trials import TrialRecord

COUNTS = np.array([[33, 11, 8]] * 5)
LEVELS = np.array([0.01, -0.02, 0.0, 0.02, -0.01])
"""What sets each of five folds apart from the others, by little."""


def level(value: float, epochs: int = 16, folds: int = 5) -> NDArray[np.float64]:
    """Curves that do not move."""
    return np.tile(value + LEVELS[:folds, None], epochs)


def judged(
    *,
    loss: NDArray[np.float64] | None = None,
    val_loss: NDArray[np.float64] | None = None,
    auc: NDArray[np.float64] | None = None,
    counts: NDArray[np.int64] | None = COUNTS,
    epochs: int = 16,
    folds: int = 5,
) -> Convergence:
    """What is said of curves that are level where none are given."""
    given = {"loss": loss, "val_loss": val_loss, "val_macro_auc": auc}
    plain = {"loss": level(0.3, epochs, folds), "val_loss": level(0.5, epochs, folds)}
    plain["val_macro_auc"] = level(0.8, epochs, folds)
    curves = {
        name: tuple(map(tuple, (plain[name] if curve is None else curve).tolist())) for name, curve in given.items()
    }
    record = TrialRecord(
        trial=3,
        configuration=3,
        bracket=0,
        rung=0,
        parent=None,
        initial_epoch=0,
        epochs=epochs,
        hyperparameters={},
        status="completed",
        objective=0.8,
        best_epoch=1,
        curves=curves,
    )
    found = convergence(record, counts)
    json.dumps(asdict(found), allow_nan=False)
    return found


def test_level_curves_have_converged() -> None:
    found = judged()
    assert found.converged is True
    assert found.reasons == ()
    assert found.sentence.startswith("The winner has converged: over the last 4 of 16 epochs")
    assert found.largest_step == 0
    assert found.diagnosis == ""


def test_a_loss_that_falls_by_more_than_both_standard_errors_has_not() -> None:
    """Each fold by 0.10, give or take 0.02, from the first half of the last quarter to the second: errors by hand."""
    falls = 0.1 + np.array([0.02, -0.02, 0.0, 0.01, -0.01])
    loss = level(0.3)
    loss[:, 14:] -= falls[:, None]
    found = judged(loss=loss)
    assert found.converged is False
    assert found.loss is not None
    assert found.loss.value == pytest.approx(-0.1)
    expected = max(np.std(falls, ddof=1), np.std(LEVELS - falls, ddof=1)) / np.sqrt(5)
    assert found.loss.standard_error == pytest.approx(expected)
    assert found.sentence == (
        "The winner has not converged: the training loss still falls (by 0.100 over the last 4 epochs, "
        f"standard error {expected:.3f})."
    )


@pytest.mark.parametrize(("moved", "told"), [(-0.0070, False), (-0.0072, True), (0.2, False)])
def test_a_move_within_the_folds_own_differences_is_not_told(moved: float, told: bool) -> None:
    """All folds move alike; their levels have a standard error of 0.00707."""
    loss = level(0.3)
    loss[:, 14:] += moved
    assert (judged(loss=loss).converged is False) == told


def test_what_has_come_to_rest_in_the_last_quarter_has_converged() -> None:
    """As a schedule that decays ends: the loss falls from quarter to quarter, and no more at the very end."""
    loss = level(0.3)
    loss[:, :12] += np.linspace(0.5, 0.1, 12)
    assert judged(loss=loss).converged is True


def test_a_score_that_rises_has_not_and_one_that_falls_is_no_such_reason() -> None:
    auc = level(0.7)
    auc[:, 14:] += 0.05
    found = judged(auc=auc)
    assert found.converged is False
    assert "the macro AUC still rises (by 0.050 over the last 4 epochs" in found.sentence
    auc[:, 14:] -= 0.1
    assert judged(auc=auc).converged is True


@pytest.mark.parametrize("epochs", [1, 3, 7])
def test_few_epochs_tell_nothing(epochs: int) -> None:
    found = judged(epochs=epochs)
    assert found.converged is None
    assert found.sentence == f"Too few epochs to tell whether the winner has converged: {epochs}; it takes 8."
    assert (found.loss, found.objective, found.window) == (None, None, 0)
    assert judged(epochs=8).converged is True


def test_one_fold_has_no_standard_error() -> None:
    found = judged(folds=1, counts=COUNTS[:1])
    assert found.converged is None
    assert "it takes 2" in found.sentence


@pytest.mark.parametrize(
    ("epoch", "step", "told"), [(12, 0.6, True), (12, 0.49, False), (3, 3.0, False), (15, 2.0, True)]
)
def test_a_loss_that_swings_in_the_second_half_is_told(epoch: int, step: float, told: bool) -> None:
    """In one fold alone: the mean over five would hide it."""
    val_loss = level(0.5)
    val_loss[2, epoch] += step
    found = judged(val_loss=val_loss)
    assert (found.converged is False) == told
    if told:
        assert found.largest_step == pytest.approx(step)
        assert f"a fold's validation loss moves by {step:.2f} between two epochs" in found.sentence


def test_swings_are_told_of_few_epochs_too() -> None:
    val_loss = level(0.5, epochs=4)
    val_loss[0, 3] = 3
    assert judged(val_loss=val_loss, epochs=4).converged is False


def at_the_end(*folds: float) -> NDArray[np.float64]:
    return np.tile(np.array(folds)[:, None], 16)


def test_folds_that_differ_as_chance_has_it_do_not_disagree() -> None:
    found = judged(auc=at_the_end(0.40, 0.47, 0.5, 0.55, 0.6))
    assert found.converged is True
    # Of a mean of 0.5 it is Mann and Whitney's; two of the three classes' AUCs are independent.
    variances = [(52 + 1) / (12 * cases * (52 - cases)) for cases in COUNTS[0]]
    assert judged(auc=at_the_end(0.4, 0.45, 0.5, 0.55, 0.6)).chance_sd == pytest.approx(np.sqrt(sum(variances) / 3 / 2))
    assert judged(auc=at_the_end(0.99, 1, 1, 1, 1)).converged is True
    assert judged(auc=at_the_end(1, 1, 1, 1, 1)).converged is True


def test_a_fold_that_learnt_nothing_disagrees_with_four_that_did() -> None:
    found = judged(auc=at_the_end(0.82, 0.9, 0.48, 0.86, 0.9))
    assert found.converged is False
    assert "the folds disagree (macro AUC 0.480 to 0.900, more than chance gives)" in found.sentence
    # With two malignant images a fold it may be chance; of how many images is not always known.
    assert judged(auc=at_the_end(0.82, 0.9, 0.48, 0.86, 0.9), counts=np.array([[4, 2, 2]] * 5)).converged is True
    assert judged(auc=at_the_end(0.82, 0.9, 0.48, 0.86, 0.9), counts=None).converged is True


def test_a_fold_without_a_class_is_left_out() -> None:
    auc = level(0.8)
    auc[0] = np.nan
    found = judged(auc=auc)
    assert found.converged is True
    assert found.fold_objectives[0] is None
    assert found.objective is not None
    auc[:, 14:] += 0.1
    assert judged(auc=auc).converged is False
    auc[1:] = np.nan
    assert judged(auc=auc).converged is None


def test_over_fitting_is_diagnosed_and_is_no_reason() -> None:
    auc = level(0.8)
    auc[:, 5] += 0.1
    auc[:, 6:] += np.linspace(0.08, 0, 10)
    auc += np.random.default_rng(0).normal(scale=0.002, size=auc.shape)
    found = judged(auc=auc)
    assert found.over_fitted
    assert found.best_epoch == 6
    assert found.below_best == pytest.approx(0.1, abs=0.01)
    assert found.diagnosis == f"It over-fits: best after epoch 6 of 16, it ends {found.below_best:.3f} below that."
    assert found.converged is True


def test_the_best_of_many_level_epochs_is_no_over_fitting() -> None:
    """Noise as of 8 malignant images a fold; one in a hundred sets may be called so, were the best fixed before."""
    rng = np.random.default_rng(1)
    said = [judged(auc=0.5 + rng.normal(scale=0.05, size=(5, 16))).over_fitted for _ in range(100)]
    assert sum(said) <= 8
