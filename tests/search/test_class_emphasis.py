"""Class weights and logit adjustment: what they do to the loss, and that a network trained with them is balanced."""

from dataclasses import replace

import numpy as np
import pytest

from search.class_emphasis import class_emphasis, training_shares
from search.space import Configuration

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


def test_whatever_the_choice_a_rare_class_is_answered_for_as_often_as_the_others(engine):
    """The same features for all images: all that can be learned is the prior."""
    from search.cross_validation import softmax, train_epoch
    from search.tail_trainer import TailTrainer

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
    answers = {}
    for minority in ("balanced", "class_weights", "logit_adjustment", "none"):
        settings = replace(engine.settings, minority=minority, steps_per_epoch=8)
        trainer.begin(configuration, 0, "fold", 0)
        for epoch in range(1, 13):
            train_epoch(trainer, configuration, data, settings, np.arange(60), epoch, "fold", 0)
        answers[minority] = softmax(trainer.logits(bank.values, bank.offsets[:-1])).mean(axis=0)
    assert answers["none"] == pytest.approx([0.7, 0.2, 0.1], abs=0.03)
    for minority in ("balanced", "class_weights", "logit_adjustment"):
        assert answers[minority] == pytest.approx([1 / 3] * 3, abs=0.06), minority


def test_an_unknown_choice_is_one_line_with_its_place():
    from search.config_file import load_config
    from search.errors import ConfigError

    with pytest.raises(ConfigError, match=r"search\.minority.*'smote'"):
        load_config(None, {"search.minority": "smote"})
