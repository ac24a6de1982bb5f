"""Class weights and logit adjustment: what they do to the loss, and that a network trained with them is balanced."""

from dataclasses import replace

import numpy as np
import pytest

from reports.decisions.correction import fit_correction
from reports.decisions.probabilities import corrected_predictions
from reports.predictions import Predictions
from search.plan.space import Configuration
from search.trials.data import class_emphasis, training_shares

CHOICES = ("balanced", "class_weights", "logit_adjustment", "none")
LABELS = np.repeat([0, 1, 2], [30, 6, 4])


def test_class_weights_average_one_and_lift_the_rare():
    weights = class_emphasis("class_weights", LABELS, 3).weights
    assert weights[LABELS].mean() == pytest.approx(1, rel=1e-6)
    assert [round(float(weights[label] * count), 3) for label, count in enumerate((30, 6, 4))] == [13.333] * 3


def test_logit_adjustment_is_the_log_of_the_shares():
    emphasis = class_emphasis("logit_adjustment", LABELS, 3)
    assert np.allclose(np.exp(emphasis.logit_offset), [0.75, 0.15, 0.10])
    assert (emphasis.weights == 1).all()


@pytest.mark.parametrize("minority", ["class_weights", "logit_adjustment"])
def test_a_class_without_training_images_stays_finite(minority):
    emphasis = class_emphasis(minority, np.array([0, 0, 2]), 3)
    assert np.isfinite(emphasis.weights).all()
    assert np.isfinite(emphasis.logit_offset).all()


@pytest.mark.parametrize("minority", ["balanced", "none"])
def test_the_others_leave_the_loss_alone(minority):
    emphasis = class_emphasis(minority, LABELS, 3)
    assert (emphasis.weights == 1).all()
    assert (emphasis.logit_offset == 0).all()


def test_only_natural_prevalence_needs_no_prior_correction():
    assert training_shares("none", 3) is None
    for minority in ("balanced", "class_weights", "logit_adjustment"):
        assert training_shares(minority, 3) == (1 / 3,) * 3


PREVALENCE = (0.7, 0.2, 0.1)


@pytest.fixture(scope="module")
def answers(engine):
    """What is learned by each choice where all images have the same features: nothing but the prior.

    By choice: probabilities, float [images, classes], and the labels, of `PREVALENCE`.
    """
    from reports.metrics.calibration import softmax
    from search.trials.cross_validation import train_epoch
    from search.trials.tail import TailTrainer

    bank = replace(engine.data.banks[0], values=np.zeros_like(engine.data.banks[0].values))
    labels = np.where(np.arange(60) % 10 == 0, 2, np.where(np.arange(60) % 5 == 1, 1, 0))
    data = replace(engine.data, banks={0: bank}, labels=labels)
    trainer = TailTrainer(
        engine.architecture,
        engine.weights,
        depth=0,
        boundary_shape=bank.shape,
        head_width=4,
        n_classes=3,
        optimizer="sgd",
    )
    configuration = Configuration(4, dropout=0.0, l2=0.0, learning_rate=0.1, unfreeze_depth=0)
    found = {}
    for minority in CHOICES:
        settings = replace(engine.settings, minority=minority, steps_per_epoch=8)
        trainer.begin(configuration, 0, "fold", 0)
        for epoch in range(1, 13):
            train_epoch(trainer, configuration, data, settings, np.arange(60), epoch, "fold", 0)
        found[minority] = softmax(trainer.logits(bank.values, bank.offsets[:-1])).astype(np.float64)
    return found, labels


@pytest.mark.parametrize("minority", CHOICES)
def test_a_rare_class_is_answered_for_as_often_as_the_others_unless_nothing_is_done(answers, minority):
    probabilities, _ = answers
    expected = PREVALENCE if minority == "none" else [1 / 3] * 3
    assert probabilities[minority].mean(axis=0) == pytest.approx(expected, abs=0.03 if minority == "none" else 0.06)


@pytest.mark.parametrize("minority", CHOICES)
def test_the_correction_gives_the_natural_prevalence_back_whatever_training_made_of_it(answers, minority):
    probabilities, labels = answers
    names = tuple(f"mdb{number:03d}" for number in range(len(labels)))
    patients = tuple(f"p{number // 2:03d}" for number in range(len(labels)))
    learned = Predictions(names, patients, labels, probabilities[minority], ("normal", "benign", "malignant"))
    choice = fit_correction(learned, training_shares(minority, 3))
    assert choice is not None
    correction = choice.correction
    corrected = corrected_predictions(learned, correction).probabilities.mean(axis=0)
    assert corrected == pytest.approx(PREVALENCE, abs=0.05)
    assert any(correction.log_prior_shift) == (minority != "none")


def test_an_unknown_choice_is_one_line_with_its_place():
    from search.config.reading import load_config
    from search.errors import ConfigError

    with pytest.raises(ConfigError, match=r"search\.minority.*'smote'"):
        load_config(None, {"search.minority": "smote"})
