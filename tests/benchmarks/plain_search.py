"""A search as KerasTuner's documentation teaches it, for comparison: build, fit and checkpoint each run from pixels.

The backbone is the same native one with its frozen part in the graph, in the engine's precision; the runs are those of
the same planned oracle, promotions load the parent's best checkpoint as KerasTuner's own Hyperband does, and there is
one validation split.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import tensorflow as tf

from search.bit import R50X1, assign_official
from search.bit.backbone import boundary_key, build_tail, build_trunk
from search.bit.weights import random_weights
from search.hypermodel import MammoHyperModel
from search.plan.space import Configuration
from search.trials.head import plain_head
from search.trials.tail import build_optimizer
from search.tuner.oracle import PlannedOracle
from tests.benchmarks.search_setting import FOLDS, SEED, Setting, planned, prepared_films
from tests.benchmarks.usage import ProductRates, Usage, folder_size


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


class PlainHyperModel(MammoHyperModel):
    """`MammoHyperModel` whose backbone has a dtype policy for the frozen part and one for the rest.

    Args:
        policies: Both.
        **kwargs: Of `MammoHyperModel`.
    """

    def __init__(self, policies: tuple[str, str], **kwargs: Any) -> None:
        super().__init__(R50X1, random_weights(R50X1, 0), **kwargs)
        self.policies = policies

    def build_configuration(self, configuration: Configuration) -> keras.Model:
        depth, (frozen, trained) = configuration.unfreeze_depth, self.policies
        trunk = build_trunk(R50X1, self.image_size, [depth], fold=False, dtype=frozen)
        shape = R50X1.boundary_shape(depth, (self.image_size, self.image_size))
        tail = build_tail(R50X1, depth, shape, dtype=trained)
        for part in (trunk, tail):
            assign_official(part, self.weights.arrays)
        pixels = keras.Input((self.image_size, self.image_size, 3), name="pixels")
        logits = plain_head(
            tail(trunk(pixels)[boundary_key(depth)]),
            width=configuration.head_width,
            n_classes=self.n_classes,
            dropout=configuration.dropout,
            l2=configuration.l2,
            head_init=self.head_init,
        )
        model = keras.Model(pixels, keras.layers.Softmax()(logits))
        model.compile(optimizer=build_optimizer(self.optimizer, configuration.learning_rate))
        model.optimizer.build(model.trainable_variables)
        return model


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

    def __init__(self, oracle: PlannedOracle, hypermodel: TimedHyperModel, directory: Path, dtype: str) -> None:
        self.timed = hypermodel
        self.products = ProductRates(dtype)
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
        self.products.measure()
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


def plain_side(
    setting: Setting, depths: tuple[int, ...], workspace: Path, *, one_run_a_depth: int | None
) -> dict[str, Any]:
    """One validation split: the whole plan, or with ``one_run_a_depth`` one run of so many epochs at each depth.

    ``wall`` is of everything, ``runs`` has the parts of each run.
    """
    from mammo_data.training.pipeline import evaluation_dataset, training_dataset
    from search.plan.space import declare_space

    films, split = prepared_films(setting, workspace)
    table, config = films.table, setting.config(depths)
    training, validation = split.fold_rows(table, 0)
    classes = len(table.class_names)
    # As many steps as the engine takes, whose epochs are equally long in all folds.
    largest = max(len(split.fold_rows(table, fold)[0]) for fold in range(FOLDS))
    steps = -(-largest // config.search.batch_size)
    names = table.image_ids
    fed = training_dataset(
        films.images[training],
        table.labels[training],
        [names[row] for row in training],
        batch_size=config.search.batch_size,
        steps=steps,
        seed=SEED,
        augmentation=config.augmentation.settings(),
    )
    held = evaluation_dataset(films.images[validation], table.labels[validation], batch_size=config.search.batch_size)
    plan, configurations = planned(setting, depths, one_run_a_depth)
    hyperparameters = keras_tuner.HyperParameters()
    declare_space(hyperparameters, config.space)
    keras.utils.set_random_seed(SEED)
    oracle = PlannedOracle(plan, configurations, hyperparameters=hyperparameters, seed=SEED)
    hypermodel = PlainHyperModel(setting.policies, image_size=setting.side, n_classes=classes, space=config.space)
    folder = workspace / "plain"
    with Usage(folder) as usage:
        start = time.perf_counter()
        dtype = setting.policies[1].removeprefix("mixed_")
        tuner = PlainTuner(oracle, TimedHyperModel(hypermodel), folder, dtype)
        tuner.search(one_hot(fed, classes), validation_data=one_hot(held, classes), verbose=0)
        wall = time.perf_counter() - start - tuner.products.seconds
    return {
        "wall": wall,
        "space_build": tuner.space_build,
        "images_an_epoch": steps * config.search.batch_size,
        "runs": [asdict(run) for run in tuner.timed.runs],
        "objective": max(trial.score for trial in oracle.trials.values()),
        "disk": usage.disk,
        "disk_at_the_end": folder_size(folder),
        "memory": usage.memory,
        "matmul_gflops": statistics.median(tuner.products.rates) / 1e9,
    }
