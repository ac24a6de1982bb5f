"""The winner's fold models, which the search did not keep: trained again, to the same bits where the device repeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from reports.trial_record import TrialRecord
from search.plan.space import Configuration
from search.trials.cross_validation import DivergedError, softmax, train_fold
from search.trials.data import TrainingSettings, TrialData
from search.trials.out_of_fold import OutOfFold
from search.trials.tail import TailTrainer, TrainedTail


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
            result = train_fold(
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
