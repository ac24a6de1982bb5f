import keras
import keras_tuner
import numpy as np
import pytest

from search.config.schema import SpaceSection
from search.plan.space import Configuration


@pytest.fixture(scope="module")
def hypermodel(engine):
    from search.hypermodel import MammoHyperModel

    # A last layer that starts from zero would let nothing else move in the first step.
    space = SpaceSection(head_width=(8, 16))
    return MammoHyperModel(engine.architecture, engine.weights, image_size=32, space=space, head_init="glorot")


@pytest.mark.slow
def test_it_runs_in_a_users_own_tuner(hypermodel, tmp_path):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, (12, 32, 32, 3)).astype(np.float32), np.arange(12) % 3
    tuner = keras_tuner.RandomSearch(
        hypermodel,
        objective=keras_tuner.Objective("val_loss", "min"),
        max_trials=2,
        directory=tmp_path,
        project_name="own",
    )
    tuner.search(x, y, validation_data=(x, y), epochs=1, batch_size=6, verbose=0)
    names = {hp.name for hp in tuner.oracle.get_space().space}
    assert names == {"head_width", "dropout", "l2", "learning_rate", "unfreeze_depth"}
    assert all(trial.status == "COMPLETED" for trial in tuner.oracle.trials.values())


@pytest.mark.parametrize("depth", [0, 2])
def test_exactly_the_unfrozen_units_and_the_head_move(hypermodel, engine, depth):
    from search.bit.backbone import official_variables

    model = hypermodel.build_configuration(Configuration(8, 0.1, 1e-3, 0.5, depth))
    before = {variable.path: np.asarray(variable) for variable in model.weights}
    rng = np.random.default_rng(0)
    model.train_on_batch(rng.uniform(-1, 1, (6, 32, 32, 3)).astype(np.float32), np.arange(6) % 3)
    moved = {
        name
        for name, variable in official_variables(model).items()
        if not np.array_equal(np.asarray(variable), before[variable.path])
    }
    assert moved == set(engine.architecture.trained_variables(depth))


def test_adamw_pulls_no_pretrained_weight_to_zero(engine):
    """After one step the backbone is where Adam leaves it; the head's kernels have decayed."""
    from search.hypermodel import MammoHyperModel

    pixels, after = np.random.default_rng(0).uniform(-1, 1, (6, 32, 32, 3)).astype(np.float32), {}
    for optimizer in ("adam", "adamw"):
        keras.utils.set_random_seed(0)
        own = MammoHyperModel(engine.architecture, engine.weights, image_size=32, optimizer=optimizer)
        model = own.build_configuration(Configuration(0, 0.0, 0.0, 0.5, 1))
        model.get_layer("head_logits").kernel.assign(np.ones(model.get_layer("head_logits").kernel.shape))
        model.train_on_batch(pixels, np.arange(6) % 3)
        after[optimizer] = {variable.path: np.asarray(variable) for variable in model.trainable_variables}
    decayed = {path for path, value in after["adam"].items() if not np.allclose(value, after["adamw"][path], atol=1e-6)}
    assert decayed == {path for path in after["adam"] if path.startswith("head_logits/kernel")}


def test_the_engines_two_parts_are_this_model(hypermodel, engine):
    """Trunk, then tail, gives what the one model gives."""
    from search.boundary.trunk import frozen_trunk
    from search.trials.tail import TailTrainer

    configuration = Configuration(8, 0.1, 1e-3, 0.5, 1)
    model = hypermodel.build_configuration(configuration)
    pixels = np.random.default_rng(1).uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    (boundary,) = frozen_trunk(engine.architecture, engine.weights, image_size=32, depths=(1,))(pixels)
    trainer = TailTrainer(
        engine.architecture,
        engine.weights,
        depth=1,
        boundary_shape=boundary.shape[1:],
        head_width=8,
        n_classes=3,
        optimizer="sgd",
    )
    trainer.begin(configuration, 0, "fold", 0)
    for name, values in trainer.head_weights.items():
        model.get_layer(name).set_weights(values)
    logits = trainer.logits(boundary, np.arange(4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.abs(model.predict_on_batch(pixels) - probabilities).max() < 1e-5
