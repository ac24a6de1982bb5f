"""BiT's fine-tuning choices in the engine: zero start of the last layer, and a learning rate of the backbone's own."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from search.plan.space import Configuration

CONFIGURATION = Configuration(16, dropout=0.3, l2=1e-3, learning_rate=1e-2, unfreeze_depth=1)


def trainer_for(engine, optimizer="sgd", depth=1, dtype="float32"):
    from search.trials.tail import TailTrainer

    return TailTrainer(
        engine.architecture,
        engine.weights,
        depth=depth,
        boundary_shape=engine.data.banks[depth].shape,
        head_width=16,
        n_classes=3,
        optimizer=optimizer,
        dtype=dtype,
    )


@pytest.fixture(scope="module")
def trainers(engine):
    return {optimizer: trainer_for(engine, optimizer) for optimizer in ("sgd", "adam", "adamw")}


def weights_of(trainer):
    backbone = {name: values.copy() for name, values in trainer.trained_weights.items()}
    head = {f"{name}/{i}": v.copy() for name, values in trainer.head_weights.items() for i, v in enumerate(values)}
    return backbone, head


def one_step(trainer, engine, factor, **begin):
    """What moved in one optimizer step, backbone and head."""
    from search.trials.data import class_emphasis

    trainer.begin(CONFIGURATION, 0, "fold", 0, **begin)
    before = weights_of(trainer)
    trainer.train(
        engine.data.banks[1].values,
        np.arange(8)[None],
        engine.data.labels[:8][None],
        np.array([1e-2], np.float32),
        class_emphasis("balanced", engine.data.labels, 3),
        backbone_lr_factor=factor,
    )
    after = weights_of(trainer)
    return [{name: new[name] - old[name] for name in new} for old, new in zip(before, after, strict=True)]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_the_backbones_steps_are_scaled_under_every_optimizer_and_the_heads_are_not(trainers, engine, optimizer):
    trainer = trainers[optimizer]
    backbone, head = one_step(trainer, engine, 1.0)
    smaller, same_head = one_step(trainer, engine, 0.25)
    for name, step in backbone.items():
        assert np.linalg.norm(smaller[name]) == pytest.approx(0.25 * np.linalg.norm(step), rel=2e-2), name
    assert all(np.array_equal(same_head[name], step) for name, step in head.items())
    # One graph for every factor: it is an argument and not a constant.
    assert trainer._steps._train.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_factor_of_one_is_one_optimizer_over_all_variables_to_the_bit(trainers, engine, optimizer):
    from search.trials.data import class_emphasis
    from search.trials.steps import CompiledSteps, ParameterGroup
    from search.trials.tail import build_optimizer

    trainer = trainers[optimizer]
    rows = np.arange(24).reshape(3, 8)
    arguments = (engine.data.labels[rows].astype(np.int32), np.full((3, 1), 1e-2, np.float32))
    emphasis = class_emphasis("balanced", engine.data.labels, 3)
    bank = engine.data.banks[1].values
    trainer.begin(CONFIGURATION, 0, "fold", 0)
    trainer.train(bank, rows, arguments[0], arguments[1][:, 0], emphasis)
    split = weights_of(trainer)
    trainer.begin(CONFIGURATION, 0, "fold", 0)
    plain = build_optimizer(optimizer, 0.0)
    if optimizer == "adamw":
        # Pretrained weights are not pulled to zero.
        plain.exclude_from_weight_decay(var_list=trainer.tail.trainable_variables)
    plain.build(trainer.model.trainable_variables)
    steps = CompiledSteps(trainer.model, [ParameterGroup(plain, trainer.model.trainable_variables)])
    steps.train(bank[rows], *arguments, emphasis)
    for together, apart in zip(weights_of(trainer), split, strict=True):
        assert all(np.array_equal(together[name], apart[name]) for name in apart)


def test_making_the_graphs_leaves_no_trace(engine):
    from search.trials.data import class_emphasis

    trainer = trainer_for(engine)
    trainer.begin(CONFIGURATION, 0, "fold", 0)
    before = trainer.state()
    bank, none = engine.data.banks[1].values, np.zeros((0, 8), np.int32)
    emphasis = class_emphasis("balanced", engine.data.labels, 3)
    trainer._steps.train(bank[none], none, np.zeros((0, 2), np.float32), emphasis)
    trainer.logits(bank, np.arange(3))
    assert trainer.build_seconds > 0
    assert all(np.array_equal(value, before[name]) for name, value in trainer.state().items())


def test_a_zero_start_gives_equal_probabilities_and_leaves_the_rest_of_the_head_as_it_was(trainers, engine):
    trainer = trainers["sgd"]
    trainer.begin(CONFIGURATION, 0, "fold", 0, head_init="glorot")
    _, usual = weights_of(trainer)
    trainer.begin(CONFIGURATION, 0, "fold", 0, head_init="zeros")
    _, zero = weights_of(trainer)
    assert not np.any(trainer.logits(engine.data.banks[1].values, np.arange(6)))
    assert {name for name in usual if not np.array_equal(usual[name], zero[name])} == {"head_logits/0"}
    with pytest.raises(ValueError, match="head_init"):
        trainer.begin(CONFIGURATION, 0, head_init="ones")


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_from_a_zero_start_the_last_layer_goes_first_and_everything_after_it(trainers, engine, optimizer):
    """Nothing but the last layer has a gradient of the loss in the first step; in the second all have one."""
    from search.trials.data import class_emphasis

    trainer = trainers[optimizer]
    trainer.begin(replace(CONFIGURATION, l2=0.0), 0, "fold", 0, head_init="zeros")
    states = [weights_of(trainer)]
    for step in range(2):
        trainer.train(
            engine.data.banks[1].values,
            np.arange(8 * step, 8 * step + 8)[None],
            engine.data.labels[8 * step : 8 * step + 8][None],
            np.array([1e-2], np.float32),
            class_emphasis("balanced", engine.data.labels, 3),
        )
        states.append(weights_of(trainer))
    (start, first, second) = ({**backbone, **head} for backbone, head in states)
    assert all(np.isfinite(values).all() for values in second.values())
    trained = {name for name in start if name.partition("/")[0] not in ("head_input_norm", "head_norm")}
    moved = {name for name in trained if not np.array_equal(start[name], first[name])}
    if optimizer == "adamw":  # its weight decay needs no gradient
        assert {"head_logits/0", "head_logits/1"} <= moved
    else:
        assert moved == {"head_logits/0", "head_logits/1"}
    assert {name for name in trained if np.array_equal(first[name], second[name])} == set()
    last = second["head_logits/0"]
    assert not np.allclose(last, last[:, :1]), "the classes have parted"


def test_retraining_takes_the_same_choices(trainers, engine):
    """With next to no learning rate the last layer stays at its start, with next to no factor the backbone does."""
    from tests.support.retrained import retrain

    def retrained(learning_rate, **changes):
        settings = replace(engine.settings, **{"schedule": "constant", "head_init": "glorot"} | changes)
        configuration = replace(CONFIGURATION, learning_rate=learning_rate)
        (tail,) = retrain(trainers["sgd"], configuration, engine.data, settings, epochs=1, seeds=1)
        moved = sum(np.linalg.norm(values - engine.weights.arrays[name]) for name, values in tail.backbone.items())
        return moved, np.abs(tail.head["head_logits"][0]).max()

    moved, last = retrained(1e-2)
    assert moved > 1e-4
    assert last > 0.1
    assert retrained(1e-2, backbone_lr_factor=1e-6)[0] < 1e-3 * moved
    assert retrained(1e-9, head_init="zeros")[1] < 1e-6
    assert retrained(1e-9)[1] > 0.1
    # BiT's schedule begins with a warm-up, so that an epoch goes less far than at a constant rate.
    assert retrained(1e-2, schedule="bit")[0] < 0.9 * moved


def test_the_hypermodel_takes_the_zero_start_and_tells_what_a_depth_trains(engine):
    from search.hypermodel import MammoHyperModel

    hypermodel = MammoHyperModel(engine.architecture, engine.weights, image_size=32, head_init="zeros")
    model = hypermodel.build_configuration(CONFIGURATION)
    assert not np.any(model.get_layer("head_logits").get_weights()[0])
    for row in hypermodel.depth_table:
        model = hypermodel.build_configuration(replace(CONFIGURATION, unfreeze_depth=row.depth))
        backbone = next(layer for layer in model.layers if isinstance(layer, keras.Model))
        assert sum(int(np.prod(v.shape)) for v in backbone.trainable_variables) == row.parameters
