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
from numpy.typing import NDArray

from reports import softmax
from search.bit.resolve import Backbone
from search.boundary.trunk import pooled_features
from search.errors import RunError
from search.final.inference import FinalNetwork
from search.plan.execution import SearchOutcome
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
class Searched:
    """A search at its end.

    Attributes:
        backbone: The pretrained network.
        data: What its trials read.
        settings: What was constant over them.
        outcome: What it found.
        trainer: The compiled tail of the winner's shape.
    """

    backbone: Backbone
    data: TrialData
    settings: TrainingSettings
    outcome: SearchOutcome
    trainer: TailTrainer

    @property
    def epochs(self) -> int:
        """Epochs of the final models: the winner's best cross-validated one."""
        winner = self.outcome.winner
        return winner.best_epoch or winner.epochs

    def network(self, image_size: int) -> FinalNetwork:
        """The winner's network, for prepared images of so many pixels a side."""
        architecture, weights, winner = self.backbone.architecture, self.backbone.weights, self.outcome.configuration
        classes = len(self.data.class_names)
        return FinalNetwork(architecture, weights, winner.unfreeze_depth, image_size, winner.head_width, classes)

    def pooled_features(self) -> NDArray[np.float32]:
        """View 0 of each development image through the pretrained backbone, float32 [images, channels]."""
        return pooled_features(self.data.banks, self.backbone.architecture, self.backbone.weights)


@dataclass(frozen=True)
class FoldModels:
    """What training the winner again on each fold gave.

    Attributes:
        tails: One a fold.
        exact: Whether each gives the very probabilities that the search stored.
    """

    tails: tuple[TrainedTail, ...]
    exact: bool


def train_fold_models(searched: Searched, stored: OutOfFold, *, on_epoch: Callable[[int, int], None]) -> FoldModels:
    """Train the winner on each fold up to its best epoch.

    Args:
        searched: The search.
        stored: The winner's out-of-fold predictions at that epoch.
        on_epoch: Called with (fold, epoch).

    Returns:
        The models; a fold that diverges, which only a device that does not repeat can bring about, is left out.
    """
    trainer, tails, exact = searched.trainer, [], True
    for fold in range(len(searched.data.folds)):
        try:
            result = train_on_fold(
                trainer,
                searched.outcome.configuration,
                searched.data,
                searched.settings,
                fold=fold,
                initial_epoch=0,
                epochs=searched.epochs,
                on_epoch=partial(on_epoch, fold),
            )
        except DivergedError:
            exact = False
            continue
        before = stored.predictions.probabilities[stored.folds == fold]
        exact &= np.array_equal(softmax(result.logits[-1]), before)
        tails.append(TrainedTail(trainer.trained_weights, trainer.head_weights, result.curves["loss"]))
    return FoldModels(tuple(tails), exact)
