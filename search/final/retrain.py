"""The final model: the winner's configuration on all development patients.

It is trained for the number of optimizer steps of its best cross-validated epoch and not stopped early, for no
validation remains to stop by. Several seeds are trained; the first, fixed in advance, is the one that is exported.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from search.errors import RunError
from search.plan.space import Configuration
from search.trials.cross_validation import DivergedError, train_epoch
from search.trials.data import TrainingSettings, TrialData
from search.trials.tail import TailTrainer, TrainedTail


def retrain(
    trainer: TailTrainer,
    configuration: Configuration,
    data: TrialData,
    settings: TrainingSettings,
    *,
    epochs: int,
    seeds: int,
    on_epoch: Callable[[int, int], None] | None = None,
) -> tuple[TrainedTail, ...]:
    """Train the final models.

    Args:
        trainer: The compiled tail of the configuration's shape.
        configuration: The winner's.
        data: Development data; all of it is trained on.
        settings: As in the search.
        epochs: The winner's best cross-validated epoch.
        seeds: How many models to train.
        on_epoch: Called with (seed number, epoch).

    Returns:
        One trained tail a seed, in order.

    Raises:
        RunError: If the loss is not finite.
    """
    everything = np.arange(len(data.labels))
    trained = []
    for number in range(seeds):
        trainer.begin(configuration, settings.seed, "final", number, head_init=settings.head_init)
        losses = []
        for epoch in range(1, epochs + 1):
            try:
                loss = train_epoch(trainer, configuration, data, settings, everything, epoch, "final", number)
            except DivergedError as divergence:
                raise RunError(
                    expected="the best configuration to train on all development patients",
                    found=str(divergence),
                    remedy="Search again under another --name with a lower space.learning_rate.max.",
                ) from None
            losses.append(loss)
            if on_epoch:
                on_epoch(number, epoch)
        trained.append(TrainedTail(trainer.trained_weights, trainer.head_weights, tuple(losses)))
    return tuple(trained)
