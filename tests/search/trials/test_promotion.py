"""Training by promotion gives the bits of training straight through."""

from dataclasses import replace

import numpy as np
import pytest

from search.plan.space import Configuration

BITS_OWN = {"schedule": "bit", "head_init": "zeros", "backbone_lr_factor": 0.1}


def trainer_for(engine, depth, optimizer, dtype="float32"):
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


@pytest.mark.parametrize(
    ("depth", "optimizer", "dtype", "choices"),
    [
        *((depth, name, "float32", {"schedule": "cosine"}) for depth in (0, 1) for name in ("sgd", "adam", "adamw")),
        (1, "adamw", "float32", BITS_OWN),
        (1, "sgd", "mixed_bfloat16", BITS_OWN),
    ],
    ids=lambda value: "bit" if value is BITS_OWN else str(value) if not isinstance(value, dict) else "",
)
def test_a_promoted_run_ends_in_the_bits_of_an_uninterrupted_one(engine, tmp_path, depth, optimizer, dtype, choices):
    from search.trials.checkpoints import CheckpointStore
    from search.trials.cross_validation import train_on_fold

    trainer = trainer_for(engine, depth, optimizer, dtype)
    configuration = Configuration(16, dropout=0.3, l2=1e-3, learning_rate=1e-2, unfreeze_depth=depth)
    other = Configuration(16, dropout=0.0, l2=1e-6, learning_rate=1e-1, unfreeze_depth=depth)
    settings = replace(engine.settings, **choices)

    def train(what, initial_epoch, epochs, parent=None):
        result = train_on_fold(
            trainer, what, engine.data, settings, fold=1, initial_epoch=initial_epoch, epochs=epochs, parent=parent
        )
        return result, trainer.state()

    straight, straight_state = train(configuration, 0, 9)
    store = CheckpointStore(tmp_path)
    pieces = []
    for initial_epoch, epochs in ((0, 2), (2, 4), (4, 9)):
        parent = store.load(initial_epoch, 1) if initial_epoch else None
        piece, state = train(configuration, initial_epoch, epochs, parent)
        store.save(epochs, 1, state)
        pieces.append(piece)
        train(other, 0, 1)  # another configuration uses the same graph in between
    for name, curve in straight.curves.items():
        assert sum((piece.curves[name] for piece in pieces), ()) == curve
    assert np.array_equal(np.concatenate([piece.logits for piece in pieces]), straight.logits)
    assert all(np.array_equal(state[name], straight_state[name]) for name in straight_state)


def test_training_learns_and_moves_only_the_tail(engine):
    from search.trials.cross_validation import train_on_fold

    trainer = trainer_for(engine, 1, "adam")
    configuration = Configuration(16, dropout=0.0, l2=1e-6, learning_rate=1e-2, unfreeze_depth=1)
    result = train_on_fold(trainer, configuration, engine.data, engine.settings, fold=0, initial_epoch=0, epochs=9)
    assert result.curves["loss"][-1] < result.curves["loss"][0]
    moved = {
        name
        for name, values in trainer.trained_weights.items()
        if not np.array_equal(values, engine.weights.arrays[name])
    }
    assert moved == set(engine.architecture.trained_variables(1))


def test_strengths_act_at_run_time(engine):
    """Dropout and L2 reach the loss although the graph is compiled once."""
    from search.trials.cross_validation import train_on_fold

    trainer = trainer_for(engine, 0, "sgd")

    def loss(dropout, l2):
        configuration = Configuration(16, dropout=dropout, l2=l2, learning_rate=1e-4, unfreeze_depth=0)
        result = train_on_fold(trainer, configuration, engine.data, engine.settings, fold=0, initial_epoch=0, epochs=1)
        return result.curves["loss"][0]

    plain = loss(0.0, 0.0)
    kernels = [trainer.model.get_layer(name).kernel for name in ("head_dense", "head_logits")]
    penalty = 0.1 * sum(float(np.sum(np.square(kernel.numpy()))) for kernel in kernels)
    assert loss(0.0, 0.1) - plain == pytest.approx(penalty, rel=0.05)
    assert loss(0.6, 0.0) != plain
    assert loss(0.0, 0.0) == plain


def test_a_loss_that_leaves_the_real_numbers_is_named(engine):
    from search.trials.cross_validation import DivergedError, train_on_fold

    trainer = trainer_for(engine, 0, "sgd")
    wild = Configuration(16, dropout=0.0, l2=1e30, learning_rate=1e30, unfreeze_depth=0)
    with pytest.raises(DivergedError, match="epoch 1 of fold 1"):
        train_on_fold(trainer, wild, engine.data, engine.settings, fold=0, initial_epoch=0, epochs=2)


def test_the_objective_is_the_end_of_the_mean_curve():
    from search.trials.cross_validation import score

    # With two folds the mean is the median.
    three = [[0.9, 0.7, 0.65, 0.1], [0.1, 0.1, 0.65, 0.8], [0.5, 0.75, 0.6, 0.85]]
    assert score(three).objective == pytest.approx((0.1 + 0.8 + 0.85) / 3)
    assert (score(three).scored_epoch, score(three).best_epoch) == (4, 3)
    assert score([[0.7, 0.7]]).best_epoch == 1
    assert score([[float("nan")], [0.4]]).objective == pytest.approx(0.4)
    assert score([[float("nan")]]).objective is None
