"""The final model: the winner's configuration on all development patients.

It is trained for as many epochs as the winner, at the full budget through the whole schedule, and not stopped early,
for no validation remains to stop by. Several seeds are trained; the first, fixed in advance, is the one that is
exported.

The winner's fold models: as the search has left their states, or where it has not, trained again, to the same bits
where the device repeats.

Each model is kept when it is done (`search.final.kept`). Within a model nothing is: its optimizer's state after every
epoch would be three times its size, for at most one model's epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports import softmax
from search.bit.resolve import Backbone
from search.boundary.trunk import pooled_features
from search.errors import RunError
from search.files.tensors import Arrays
from search.final.inference import FinalNetwork, SharedTrunk
from search.final.kept import FinalStore, Form
from search.plan.execution import SearchOutcome
from search.plan.space import Configuration
from search.trials.cross_validation import DivergedError, FoldResult, train_epoch, train_on_fold, validation_logits
from search.trials.data import TrainingSettings, TrialData
from search.trials.out_of_fold import OutOfFold
from search.trials.tail import State, TailTrainer, TrainedTail
from search.trials.worker import Work, Worker
from search.tuner.executors.base import Executor, carried_out


def train_final(
    trainer: TailTrainer,
    configuration: Configuration,
    data: TrialData,
    settings: TrainingSettings,
    *,
    epochs: int,
    number: int,
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> TrainedTail:
    """Train one final model.

    Args:
        trainer: The compiled tail of the configuration's shape.
        configuration: The winner's.
        data: Development data; all of it is trained on.
        settings: As in the search.
        epochs: As many as the winner's.
        number: Seed number, from 0.
        on_epoch: Called with the number of each finished epoch, from 1.

    Raises:
        RunError: If the loss is not finite.
    """
    everything = np.arange(len(data.labels))
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
        on_epoch(epoch)
    return TrainedTail(trainer.trained_weights, trainer.head_weights, tuple(losses))


@dataclass(frozen=True)
class ModelWork:
    """One final model, for a worker.

    Attributes:
        configuration: What is trained.
        settings: With which.
        epochs: For how long.
        number: Seed number, from 0.
        optimizer: Its name; "" for the search's.
    """

    configuration: Configuration
    settings: TrainingSettings
    epochs: int
    number: int
    optimizer: str = ""

    @property
    def name(self) -> str:
        """Which of the final models."""
        return f"final model {self.number + 1}"

    @property
    def shape(self) -> tuple[int, int, str]:
        """That of the configuration's tail."""
        return self.configuration.unfreeze_depth, self.configuration.head_width, self.optimizer

    def carry_out(self, worker: Worker, on_epoch: Callable[[int], None]) -> TrainedTail:
        """`train_final`."""
        trainer = worker.trainers(self.configuration, self.optimizer)
        return train_final(
            trainer,
            self.configuration,
            worker.data_at(self.configuration.unfreeze_depth),
            self.settings,
            epochs=self.epochs,
            number=self.number,
            on_epoch=on_epoch,
        )

    def given_up(self, reason: str) -> TrainedTail:
        """None: a run needs its models.

        Raises:
            RunError: Always.
        """
        raise lost_for_good("a final model", reason)


def lost_for_good(what: str, reason: str) -> RunError:
    """What is said where no worker could train something that the run needs."""
    return RunError(
        expected=f"a worker to train {what}",
        found=reason,
        remedy="Give the command again, with fewer --workers where the memory was too small; finished parts are kept.",
    )


@dataclass(frozen=True)
class Searched:
    """A search at its end.

    Attributes:
        backbone: The pretrained network.
        data: What its trials read.
        settings: What was constant over them.
        outcome: What it found.
        trainers: Gives the compiled tails.
        executor: Trains what follows the search.
        state_of_fold: The state that the search has kept of the winner's fold of that number; None where it has not.
    """

    backbone: Backbone
    data: TrialData
    settings: TrainingSettings
    outcome: SearchOutcome
    trainers: Callable[..., TailTrainer]
    executor: Executor
    state_of_fold: Callable[[int], State | None] = lambda fold: None

    @property
    def trainer(self) -> TailTrainer:
        """The compiled tail of the winner's shape, in this process."""
        return self.trainers(self.outcome.configuration)

    @property
    def chosen(self) -> list[Any]:
        """What the final models follow from beside the run's settings and data, as JSON values."""
        winner = self.outcome.winner
        return [winner.trial, winner.hyperparameters, self.epochs]

    @property
    def epochs(self) -> int:
        """Epochs of the final models: those that the winner is scored after."""
        return self.outcome.winner.objective_epoch

    def train_fold(self, fold: int, on_epoch: Callable[[int], None], *, number: int = 0) -> FoldResult:
        """The winner trained on a fold from the beginning, as the search trains it.

        Args:
            fold: From 0.
            on_epoch: Called with the epoch.
            number: Seed number; the search's is 0.

        Raises:
            DivergedError: If the loss is not finite.
        """
        return train_on_fold(
            self.trainer,
            self.outcome.configuration,
            self.data,
            self.settings,
            fold=fold,
            initial_epoch=0,
            epochs=self.epochs,
            number=number,
            on_epoch=on_epoch,
        )

    def network(self, image_size: int) -> FinalNetwork:
        """The winner's network, for prepared images of so many pixels a side."""
        winner = self.outcome.configuration
        return self.network_of(winner.unfreeze_depth, winner.head_width, image_size)

    def network_of(self, unfreeze_depth: int, head_width: int, image_size: int) -> FinalNetwork:
        """Another configuration's network; all of them share their frozen part."""
        architecture, weights, classes = self.backbone.architecture, self.backbone.weights, len(self.data.class_names)
        depths = {0, self.outcome.configuration.unfreeze_depth, max(self.data.banks)}
        shared = self._trunks.setdefault(image_size, SharedTrunk(architecture, weights, depths, image_size))
        return FinalNetwork(architecture, weights, unfreeze_depth, image_size, head_width, classes, shared)

    @cached_property
    def _trunks(self) -> dict[int, SharedTrunk]:
        return {}

    def pooled_features(self) -> NDArray[np.float32]:
        """View 0 of each development image through the pretrained backbone, float32 [images, channels]."""
        return pooled_features(self.data.banks, self.backbone.architecture, self.backbone.weights)


def tail_form(trainer: Callable[[], TailTrainer]) -> Form[TrainedTail]:
    """How a trained model is kept.

    Args:
        trainer: Gives the compiled tail of its shape, whose variables a kept model has to have.
    """

    def unpack(arrays: Arrays) -> TrainedTail:
        losses = tuple(arrays.pop("losses").tolist())
        return TrainedTail(trainer().trained_weights, trainer().head_weights, ()).like(arrays, losses)

    return Form(lambda tail: {**tail.arrays, "losses": np.array(tail.losses)}, unpack)


def train_final_models(
    searched: Searched, store: FinalStore, *, seeds: int, moved: Callable[[int, int], None]
) -> tuple[TrainedTail, ...]:
    """The final models of a search, as far as they were not kept.

    Args:
        searched: The search.
        store: Keeps each of them.
        seeds: How many models to train.
        moved: Called with (epochs done, epochs in all) of those that are trained.

    Returns:
        One a seed, in order.

    Raises:
        RunError: If the loss is not finite.
    """
    configuration, settings, epochs = searched.outcome.configuration, searched.settings, searched.epochs
    works = {f"model-{seed + 1}": ModelWork(configuration, settings, epochs, seed) for seed in range(seeds)}
    form = tail_form(lambda: searched.trainer)
    train = trained_by(searched.executor, epochs, moved)
    return tuple(store.kept_each(works, form, searched.chosen, made=train))


def trained_by(
    executor: Executor, epochs: int, moved: Callable[[int, int], None]
) -> Callable[[Mapping[str, Work]], Iterator[tuple[str, Any]]]:
    """`carried_out` by an executor, for `FinalStore.kept_each`.

    Args:
        executor: Who trains.
        epochs: Of each work.
        moved: Called with (epochs done, epochs in all).
    """

    def train(works: Mapping[str, Work]) -> Iterator[tuple[str, Any]]:
        at = dict.fromkeys(works, 0)

        def ended(name: str, epoch: int) -> None:
            at[name] = epoch
            moved(sum(at.values()), len(works) * epochs)

        return carried_out(executor, works, ended)

    return train


@dataclass(frozen=True)
class FoldModel:
    """The winner's model of one fold.

    Attributes:
        tail: What was trained; None where it diverged, which only a device that does not repeat can bring about.
        exact: Whether it gives the very probabilities that the search stored.
    """

    tail: TrainedTail | None
    exact: bool


@dataclass(frozen=True)
class FoldModels:
    """The winner's models of all folds.

    Attributes:
        tails: One a fold.
        exact: Whether each gives the very probabilities that the search stored.
    """

    tails: tuple[TrainedTail, ...]
    exact: bool


def train_fold_models(
    searched: Searched, stored: OutOfFold, store: FinalStore, *, on_epoch: Callable[[int, int], None]
) -> FoldModels:
    """The winner's model of each fold: as it was kept, or trained again as in the search.

    Args:
        searched: The search.
        stored: The winner's out-of-fold predictions.
        store: Keeps each of them.
        on_epoch: Called with (fold, epoch).

    Returns:
        The models; a fold that diverged is left out.
    """
    whole = tail_form(lambda: searched.trainer)
    form = Form(
        lambda model: {"exact": np.array(model.exact), **(whole.pack(model.tail) if model.tail else {})},
        lambda arrays: FoldModel(exact=bool(arrays.pop("exact")), tail=whole.unpack(arrays) if arrays else None),
    )
    models = [
        store.kept(f"fold-{fold + 1}", form, partial(_fold_model, searched, stored, fold, on_epoch), searched.chosen)
        for fold in range(len(searched.data.folds))
    ]
    return FoldModels(tuple(each.tail for each in models if each.tail), all(each.exact for each in models))


def _fold_model(searched: Searched, stored: OutOfFold, fold: int, on_epoch: Callable[[int, int], None]) -> FoldModel:
    trainer, state = searched.trainer, searched.state_of_fold(fold)
    if state is not None and trainer.fits(state):
        trainer.restore(state)
        losses = searched.outcome.winner.curves["loss"][fold][: searched.epochs]
        logits = validation_logits(trainer, searched.outcome.configuration, searched.data, fold)
    else:
        try:
            result = searched.train_fold(fold, partial(on_epoch, fold))
        except DivergedError:
            return FoldModel(None, exact=False)
        losses, logits = result.curves["loss"], result.logits[-1]
    exact = np.array_equal(softmax(logits), stored.predictions.probabilities[stored.folds == fold])
    return FoldModel(TrainedTail(trainer.trained_weights, trainer.head_weights, losses), exact)
