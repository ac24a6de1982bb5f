"""A search as KerasTuner's documentation teaches it, for comparison: build, fit and checkpoint each run from pixels.

The backbone is the same native one with its frozen part in the graph, the runs are those of the same planned oracle,
promotions load the parent's best checkpoint as KerasTuner's own Hyperband does, and there is one validation split.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import tensorflow as tf

from search.hypermodel import MammoHyperModel
from search.oracle import PlannedOracle


@dataclass
class PlainRun:
    """What a run took, in seconds.

    Attributes:
        depth: Its unfreeze depth.
        build: Building and compiling the model.
        epochs: Each epoch with its validation; the first traces the graphs.
        rest: Checkpoints, files and whatever else lies between the start of the run and its end.
    """

    depth: int
    build: float = 0.0
    epochs: list[float] = field(default_factory=list)
    rest: float = 0.0


class _EpochClock(keras.callbacks.Callback):
    def __init__(self, seconds: list[float]) -> None:
        super().__init__()
        self.seconds = seconds

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begun = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self.begun)


class TimedHyperModel(keras_tuner.HyperModel):
    """`MammoHyperModel` with the objective as a metric and a clock."""

    def __init__(self, hypermodel: MammoHyperModel) -> None:
        super().__init__()
        self.hypermodel = hypermodel
        self.runs: list[PlainRun] = []

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        start = time.perf_counter()
        model = self.hypermodel.build(hp)
        model.compile(
            optimizer=model.optimizer,
            loss=keras.losses.CategoricalCrossentropy(),
            metrics=[keras.metrics.AUC(multi_label=True, num_labels=self.hypermodel.n_classes, name="macro_auc")],
        )
        self.runs.append(PlainRun(int(hp.values["unfreeze_depth"]), build=time.perf_counter() - start))
        return model

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        callbacks = [_EpochClock(self.runs[-1].epochs), *kwargs.pop("callbacks", [])]
        return model.fit(*args, callbacks=callbacks, **kwargs)


class PlainTuner(keras_tuner.Tuner):
    """KerasTuner's tuner; epochs and the parent's checkpoint as in its Hyperband."""

    def __init__(self, oracle: PlannedOracle, hypermodel: TimedHyperModel, directory: Path) -> None:
        self.timed = hypermodel
        super().__init__(
            oracle=oracle, hypermodel=hypermodel, directory=str(directory), project_name="plain", overwrite=True
        )
        # The model that KerasTuner builds to learn the space belongs to its cost, but is no run.
        self.space_build = sum(run.build for run in hypermodel.runs)
        hypermodel.runs.clear()

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        values = trial.hyperparameters.values
        kwargs |= {"epochs": values["tuner/epochs"], "initial_epoch": values["tuner/initial_epoch"]}
        start = time.perf_counter()
        result = super().run_trial(trial, *args, **kwargs)
        run = self.timed.runs[-1]
        run.rest = time.perf_counter() - start - run.build - sum(run.epochs)
        return result

    def _build_hypermodel(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        model = super()._build_hypermodel(hp)
        if "tuner/trial_id" in hp.values:
            (parent,) = (name for name in self.oracle.trials if int(name) == int(hp.values["tuner/trial_id"]))
            model.load_weights(self._get_checkpoint_fname(parent))
        return model


def one_hot(dataset: tf.data.Dataset, classes: int) -> tf.data.Dataset:
    """Labels as the metric wants them."""
    return dataset.map(lambda pixels, labels: (pixels, tf.one_hot(labels, classes)))
