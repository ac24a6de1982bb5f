"""Retraining: every development image, one draw a seed, no epoch more than was asked for."""

import numpy as np
import pytest

from search.plan.space import Configuration

CONFIGURATION = Configuration(16, dropout=0.3, l2=1e-3, learning_rate=1e-2, unfreeze_depth=1)


@pytest.fixture(scope="module")
def trainer(engine):
    from search.trials.worker import TrainerPool

    return TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="sgd")(CONFIGURATION)


def arrays_of(tail):
    head = {f"{name}/{i}": each for name, values in tail.head.items() for i, each in enumerate(values)}
    return {**tail.backbone, **head}


def test_each_seed_is_its_own_training_on_all_images_for_the_epochs_asked_for(engine, trainer):
    from search.trials.cross_validation import train_epoch
    from search.trials.tail import TrainedTail
    from tests.support.retrained import retrain

    data, settings, epochs = engine.data, engine.settings, []
    tails = retrain(
        trainer, CONFIGURATION, data, settings, epochs=2, seeds=3, on_epoch=lambda *moved: epochs.append(moved)
    )
    assert epochs == [(seed, epoch) for seed in range(3) for epoch in (1, 2)]
    for seed, tail in enumerate(tails):
        trainer.begin(CONFIGURATION, settings.seed, "final", seed)
        everyone = np.arange(len(data.labels))
        losses = [
            train_epoch(trainer, CONFIGURATION, data, settings, everyone, epoch, "final", seed) for epoch in (1, 2)
        ]
        assert tail.losses == tuple(losses)
        alone = arrays_of(TrainedTail(trainer.trained_weights, trainer.head_weights, ()))
        for name, values in arrays_of(tail).items():
            np.testing.assert_array_equal(values, alone[name], err_msg=name)
    assert len({tail.losses for tail in tails}) == 3
    for name in arrays_of(tails[0]):
        assert not np.array_equal(arrays_of(tails[0])[name], arrays_of(tails[1])[name]), name
