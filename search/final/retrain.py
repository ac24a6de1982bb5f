"""The final model: the winner's configuration on all development patients.

It is trained for the number of optimizer steps of its best cross-validated epoch and not stopped early, for no
validation remains to stop by. Several seeds are trained; the first, fixed in advance, is the one that is exported.

The winner's fold models, which the search did not keep: trained again, to the same bits where the device repeats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from reports import TrialRecord, softmax
from search.errors import RunError
from search.plan.space import Configuration
from search.trials.cross_validation import DivergedError, train_epoch, train_on_fold
from search.trials.data import TrainingSettings, TrialData
from search.trials.out_of_fold import OutOfFold
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


@dataclass(frozen=True)
class FoldModels:
    """What training the winner again on each fold gave.

    Attributes:
        tails: One a fold.
        exact: Whether each gives the very probabilities that the search stored.
    """

    tails: tuple[TrainedTail, ...]
    exact: bool


def train_fold_models(
    trainer: TailTrainer,
    winner: TrialRecord,
    data: TrialData,
    settings: TrainingSettings,
    stored: OutOfFold,
    *,
    on_epoch: Callable[[int, int], None] | None = None,
) -> FoldModels:
    """Train the winner on each fold up to its best epoch.

    Args:
        trainer: The compiled tail of the winner's shape.
        winner: The best run.
        data: Development data.
        settings: As in the search.
        stored: The winner's out-of-fold predictions at that epoch.
        on_epoch: Called with (fold, epoch).

    Returns:
        The models; a fold that diverges, which only a device that does not repeat can bring about, is left out.
    """
    configuration = Configuration.from_values(winner.hyperparameters)
    tails, exact = [], True
    for fold in range(len(data.folds)):
        try:
            result = train_on_fold(
                trainer,
                configuration,
                data,
                settings,
                fold=fold,
                initial_epoch=0,
                epochs=winner.best_epoch or winner.epochs,
                on_epoch=partial(on_epoch, fold) if on_epoch else None,
            )
        except DivergedError:
            exact = False
            continue
        before = stored.predictions.probabilities[stored.folds == fold]
        exact &= np.array_equal(softmax(result.logits[-1]), before)
        tails.append(TrainedTail(trainer.trained_weights, trainer.head_weights, result.curves["loss"]))
    return FoldModels(tuple(tails), exact)
