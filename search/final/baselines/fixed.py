"""The fixed configuration: what one would train without a search, written down before any run.

BiT's own fine-tuning: a linear head that starts from zero on the deepest boundary of the space, the peak rate and the
schedule of its hyperrule, no dropout and no penalty. It is trained on every fold like a trial, and then on all
development patients with as many seeds as the winner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search.files.tensors import Arrays
from search.final.kept import FinalStore, Form
from search.final.retrain import ModelWork, Searched, lost_for_good, tail_form, trained_by
from search.plan.space import Configuration
from search.trials.cross_validation import train_on_fold
from search.trials.data import TrainingSettings
from search.trials.schedule import bit_learning_rate
from search.trials.tail import TrainedTail
from search.trials.worker import Worker

OPTIMIZER = "sgd"


@dataclass(frozen=True)
class FixedModels:
    """The fixed configuration, trained.

    Attributes:
        logits: Out of fold, at the end of the schedule, one array a fold, float32 [images, classes].
        tails: Final models, one a seed.
    """

    logits: tuple[NDArray[np.float32], ...]
    tails: tuple[TrainedTail, ...]


def fixed_configuration(searched: Searched) -> Configuration:
    """What is trained; the deepest boundary of the space is that of the deepest bank."""
    rate = bit_learning_rate(searched.settings.batch_size)
    return Configuration(0, dropout=0.0, l2=0.0, learning_rate=rate, unfreeze_depth=max(searched.data.banks))


def fixed_settings(settings: TrainingSettings) -> TrainingSettings:
    """A search's settings with BiT's schedule and start, one learning rate for all variables."""
    return replace(settings, schedule="bit", head_init="zeros", backbone_lr_factor=1.0)


@dataclass(frozen=True)
class FixedFoldWork:
    """The fixed configuration on one fold, for a worker.

    Attributes:
        configuration: It.
        settings: Its own.
        fold: Position in the data's folds.
    """

    configuration: Configuration
    settings: TrainingSettings
    fold: int

    @property
    def name(self) -> str:
        """Which fold."""
        return f"fixed configuration, fold {self.fold + 1}"

    @property
    def shape(self) -> tuple[int, int, str]:
        """That of the configuration's tail."""
        return self.configuration.unfreeze_depth, self.configuration.head_width, OPTIMIZER

    def carry_out(self, worker: Worker, on_epoch: Callable[[int], None]) -> NDArray[np.float32]:
        """Validation logits at the end, float32 [images, classes].

        Raises:
            DivergedError: If the loss or the logits are not finite.
        """
        result = train_on_fold(
            worker.trainers(self.configuration, OPTIMIZER),
            self.configuration,
            worker.data_at(self.configuration.unfreeze_depth),
            self.settings,
            fold=self.fold,
            initial_epoch=0,
            epochs=self.settings.full_epochs,
            on_epoch=on_epoch,
        )
        return result.logits[-1]

    def given_up(self, reason: str) -> NDArray[np.float32]:
        """None.

        Raises:
            RunError: Always.
        """
        raise lost_for_good("the fixed configuration", reason)


def train_fixed(searched: Searched, store: FinalStore, *, seeds: int, moved: Callable[[int, int], None]) -> FixedModels:
    """Train the fixed configuration, as far as that was not kept.

    Args:
        searched: The search.
        store: Keeps each fold's logits and each final model.
        seeds: Final models.
        moved: Called with (epochs done, epochs in all).

    Raises:
        DivergedError: If the loss or the logits of a fold are not finite.
        RunError: If the loss of a final model is not finite.
    """
    settings, configuration = fixed_settings(searched.settings), fixed_configuration(searched)
    epochs, chosen, folds = settings.full_epochs, asdict(configuration), len(searched.data.folds)
    total = (folds + seeds) * epochs
    on_folds = {f"fixed-fold-{fold + 1}": FixedFoldWork(configuration, settings, fold) for fold in range(folds)}
    on_all = {
        f"fixed-model-{seed + 1}": ModelWork(configuration, settings, epochs, seed, OPTIMIZER) for seed in range(seeds)
    }
    form = _logits_form(len(searched.data.class_names))
    train = trained_by(searched.executor, epochs, lambda done, _: moved(done, total))
    logits = store.kept_each(on_folds, form, chosen, made=train)
    train = trained_by(searched.executor, epochs, lambda done, _: moved(folds * epochs + done, total))
    whole = tail_form(lambda: searched.trainers(configuration, OPTIMIZER))
    tails = store.kept_each(on_all, whole, chosen, made=train)
    return FixedModels(tuple(logits), tuple(tails))


def _logits_form(classes: int) -> Form[NDArray[np.float32]]:
    def unpack(arrays: Arrays) -> NDArray[np.float32]:
        if arrays["logits"].ndim != 2 or arrays["logits"].shape[1] != classes:
            raise ValueError("not the logits of a fold")
        return arrays["logits"]

    return Form(lambda logits: {"logits": logits}, unpack)
