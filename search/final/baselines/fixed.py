"""The fixed configuration: what one would train without a search, written down before any run.

BiT's own fine-tuning: a linear head that starts from zero on the deepest boundary of the space, the peak rate and the
schedule of its hyperrule, no dropout and no penalty. It is trained on every fold like a trial, and then on all
development patients with as many seeds as the winner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from search.files.tensors import Arrays
from search.final.kept import FinalStore, Form
from search.final.retrain import Searched, retrain, tail_form
from search.plan.space import Configuration
from search.trials.cross_validation import train_on_fold
from search.trials.data import TrainingSettings
from search.trials.schedule import bit_learning_rate
from search.trials.tail import TailTrainer, TrainedTail


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


def train_fixed(
    searched: Searched, store: FinalStore, *, seeds: int, on_epoch: Callable[[int, int], None]
) -> FixedModels:
    """Train the fixed configuration, as far as that was not kept.

    Args:
        searched: The search.
        store: Keeps each fold's logits and each final model.
        seeds: Final models.
        on_epoch: Called with (epochs done, epochs in all).

    Raises:
        DivergedError: If the loss or the logits of a fold are not finite.
        RunError: If the loss of a final model is not finite.
    """
    data, settings, configuration = searched.data, fixed_settings(searched.settings), fixed_configuration(searched)
    epochs, chosen, folds = settings.full_epochs, asdict(configuration), len(data.folds)
    total, backbone, bank = (folds + seeds) * epochs, searched.backbone, data.banks[configuration.unfreeze_depth]
    trainer = TailTrainer(
        backbone.architecture,
        backbone.weights,
        depth=bank.depth,
        boundary_shape=bank.shape,
        head_width=configuration.head_width,
        n_classes=len(data.class_names),
        optimizer="sgd",
        dtype=backbone.precision.tail_policy,
    )

    def out_of_fold(fold: int) -> NDArray[np.float32]:
        def moved(epoch: int) -> None:
            on_epoch(fold * epochs + epoch, total)

        result = train_on_fold(
            trainer, configuration, data, settings, fold=fold, initial_epoch=0, epochs=epochs, on_epoch=moved
        )
        return result.logits[-1]

    logits = tuple(
        store.kept(
            f"fixed-fold-{fold + 1}",
            _logits_form((len(validation), len(data.class_names))),
            partial(out_of_fold, fold),
            chosen,
        )
        for fold, (_, validation) in enumerate(data.folds)
    )
    tails = retrain(
        trainer,
        configuration,
        data,
        settings,
        epochs=epochs,
        seeds=seeds,
        on_epoch=lambda seed, epoch: on_epoch((folds + seed) * epochs + epoch, total),
        keep=lambda seed, train: store.kept(f"fixed-model-{seed + 1}", tail_form(trainer), train, chosen),
    )
    return FixedModels(logits, tails)


def _logits_form(shape: tuple[int, int]) -> Form[NDArray[np.float32]]:
    def unpack(arrays: Arrays) -> NDArray[np.float32]:
        if arrays["logits"].shape != shape:
            raise ValueError("not the logits of this fold")
        return arrays["logits"]

    return Form(lambda logits: {"logits": logits}, unpack)
