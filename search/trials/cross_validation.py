"""Cross-validation of a trial: a configuration trained on every fold, scored by the mean curve.

The objective is the mean over the folds of the macro one-vs-rest AUC at the end of the trial: of the weights that a
promotion goes on with, and at the full budget of those at the schedule's end, as the final model has them. The best
epoch of the mean curve only tells whether training went on for too long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammo_data.training.sampling import epoch_rows
from reports.metrics.calibration import log_loss, softmax
from reports.metrics.confusion import balanced_accuracy, confusion_matrices
from reports.metrics.table import macro_ovr_auc
from reports.trials import OBJECTIVE_CURVE
from search.plan.space import Configuration
from search.seeding import generator
from search.trials.data import TrainingSettings, TrialData, class_emphasis
from search.trials.schedule import learning_rates
from search.trials.tail import State, TailTrainer


class DivergedError(Exception):
    """Training left the real numbers.

    Args:
        what: The loss, or the validation logits.
        epoch: When, from 1.
        where: In which fold or final model.
    """

    def __init__(self, what: str, epoch: int, where: str) -> None:
        super().__init__(f"{what} in epoch {epoch} of {where}")
        self.epoch = epoch


@dataclass(frozen=True)
class FoldFailure:
    """Why a fold came to no result.

    Attributes:
        error: One line.
        traceback: Where it happened; "" where training diverged, which is no fault of the program.
        diverged_epoch: Epoch in which the loss or the logits were not finite, from 1; None where nothing diverged.
    """

    error: str
    traceback: str = ""
    diverged_epoch: int | None = None


@dataclass(frozen=True)
class FoldResult:
    """One fold after a trial.

    Attributes:
        curves: Metric name to its value after each epoch trained in this trial; none where it failed.
        logits: Validation logits after each of these epochs, float32 [epochs, images, classes].
        failure: Why there are none.
        seconds: Wall time.
        arithmetic_seconds: The part of it that was training and validation arithmetic.
        build_seconds: The part of it that went into building the network and making its graphs.
    """

    curves: dict[str, tuple[float, ...]]
    logits: NDArray[np.float32]
    failure: FoldFailure | None = None
    seconds: float = 0.0
    arithmetic_seconds: float = 0.0
    build_seconds: float = 0.0


@dataclass(frozen=True)
class Score:
    """A trial's score.

    Attributes:
        objective: The mean curve at its end; None where it is not defined there.
        scored_epoch: That epoch, from 1; or None.
        best_epoch: Epoch of the largest mean, the earliest where several tie; or None.
    """

    objective: float | None = None
    scored_epoch: int | None = None
    best_epoch: int | None = None


def score(fold_curves: Sequence[Sequence[float]]) -> Score:
    """The end of the mean fold curve.

    Args:
        fold_curves: The objective's curve of each fold, [folds][epochs]; NaN where a fold lacks a class.
    """
    means = np.ma.masked_invalid(np.asarray(fold_curves, dtype=np.float64)).mean(axis=0).filled(-np.inf)
    return Score() if means[-1] == -np.inf else Score(float(means[-1]), len(means), int(means.argmax()) + 1)


def train_on_fold(
    trainer: TailTrainer,
    configuration: Configuration,
    data: TrialData,
    settings: TrainingSettings,
    *,
    fold: int,
    initial_epoch: int,
    epochs: int,
    number: int = 0,
    parent: State | None = None,
    on_epoch: Callable[[int], None] | None = None,
) -> FoldResult:
    """Train one fold from one epoch to another and validate after each; the trainer is left where training stands.

    Args:
        trainer: The compiled tail of the configuration's shape.
        configuration: What to train.
        data: Development data.
        settings: What is constant over the trials.
        fold: Position in ``data.folds``.
        initial_epoch: Epochs that the parent has trained, 0 without one.
        epochs: Epochs that are behind it at the end.
        number: Seed number, from 0: which of several models of this fold; the search's is the first.
        parent: The parent's state of this fold.
        on_epoch: Called with the number of each finished epoch, from 1.

    Raises:
        DivergedError: If the loss or a validation logit is not finite.
    """
    training, validation = data.folds[fold]
    # The first seed's draws are named as they were before there were others: a search stays the same to the bit.
    purpose = ("fold", fold, "seed", number) if number else ("fold", fold)
    if parent is None:
        trainer.begin(configuration, settings.seed, *purpose, head_init=settings.head_init)
    else:
        trainer.restore(parent)
    measured: list[dict[str, float]] = []
    logits = []
    labels = data.labels[validation]
    for epoch in range(initial_epoch + 1, epochs + 1):
        loss = train_epoch(trainer, configuration, data, settings, training, epoch, *purpose)
        outputs = validation_logits(trainer, configuration, data, fold)
        if not np.isfinite(outputs).all():
            raise DivergedError("validation logits that are not finite", epoch, f"fold {fold + 1}")
        measured.append({"loss": loss, **validation_metrics(labels, outputs)})
        logits.append(outputs)
        if on_epoch:
            on_epoch(epoch)
    return FoldResult({name: tuple(each[name] for each in measured) for name in measured[0]}, np.stack(logits))


def validation_logits(
    trainer: TailTrainer, configuration: Configuration, data: TrialData, fold: int
) -> NDArray[np.float32]:
    """Logits of view 0 of a fold's validation images, float32 [images, classes]."""
    bank, (_, validation) = data.banks[configuration.unfreeze_depth], data.folds[fold]
    return trainer.logits(bank.values, bank.offsets[validation])


def validation_metrics(labels: NDArray[np.int64], logits: NDArray[np.float32]) -> dict[str, float]:
    """What a fold records of its validation images after an epoch.

    Args:
        labels: Class index of each, int64 [images].
        logits: Their logits, finite, float32 [images, classes].

    Returns:
        "val_loss", the objective and "val_balanced_accuracy"; NaN where a class has no image.
    """
    probabilities, unweighted = softmax(logits), np.ones((1, len(labels)))
    matrix = confusion_matrices(labels, probabilities.argmax(axis=1), logits.shape[1], unweighted)
    return {
        "val_loss": float(log_loss(labels, probabilities, unweighted)[0]),
        OBJECTIVE_CURVE: macro_ovr_auc(labels, probabilities),
        "val_balanced_accuracy": float(balanced_accuracy(matrix)[0]),
    }


def draw_epoch(
    labels: NDArray[np.int64],
    view_counts: NDArray[np.int64],
    settings: TrainingSettings,
    epoch: int,
    *purpose: str | int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw the images and views of one epoch; they depend on (seed, purpose, epoch) and the training set alone.

    Args:
        labels: Class index of each training image, int64 [images].
        view_counts: Stored views of each, int64 [images].
        settings: Seed, steps, batch size and minority handling.
        epoch: From 1.
        purpose: Names the draw, for example ``("fold", 3)``.

    Returns:
        Positions among the training images and which stored view of each, both int64 [steps, batch].
    """
    rng = generator(settings.seed, *purpose, "epoch", epoch)
    shape = (settings.steps_per_epoch, settings.batch_size)
    images = epoch_rows(labels, draws=shape[0] * shape[1], rng=rng, minority=settings.minority)
    views = rng.integers(view_counts[images])
    return images.reshape(shape), views.reshape(shape)


def train_epoch(
    trainer: TailTrainer,
    configuration: Configuration,
    data: TrialData,
    settings: TrainingSettings,
    training: NDArray[np.int64],
    epoch: int,
    *purpose: str | int,
) -> float:
    """Train one epoch on the images at ``training``; its draws depend on (seed, purpose, epoch) alone.

    Returns:
        The mean loss of its steps.

    Raises:
        DivergedError: If it is not finite.
    """
    bank = data.banks[configuration.unfreeze_depth]
    drawn, views = draw_epoch(data.labels[training], bank.view_counts[training], settings, epoch, *purpose)
    images = training[drawn]
    steps, rate = settings.steps_per_epoch, configuration.learning_rate
    position = {"first_step": (epoch - 1) * steps, "full_steps": settings.full_epochs * steps}
    rates = learning_rates(settings.schedule, rate, **position, steps=steps, steps_per_epoch=steps)
    emphasis = class_emphasis(settings.minority, data.labels[training], len(data.class_names))
    rows, factor = bank.offsets[images] + views, settings.backbone_rate(rate) / rate
    loss = trainer.train(bank.values, rows, data.labels[images], rates, emphasis, backbone_lr_factor=factor)
    if not np.isfinite(loss):
        places = zip(purpose[::2], purpose[1::2], strict=True)
        raise DivergedError(f"the loss became {loss}", epoch, ", ".join(f"{p} {int(n) + 1}" for p, n in places))
    return loss
