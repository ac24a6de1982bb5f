"""This package's search with clocks in it: boundary banks, compiled tails, every run on all folds."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from search.trials.tail import TailTrainer
from tests.benchmarks.search_setting import FOLDS, SEED, Setting, planned, prepared_films
from tests.benchmarks.usage import ProductRates, Usage, folder_size


class ClockedTrainer:
    """A tail that notes how long each epoch's training and validation take, graphs that are built then not counted."""

    def __init__(self, trainer: TailTrainer, train: list[float], validate: list[float]) -> None:
        self._trainer = trainer
        self._seconds = {"train": train, "validate": validate}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)

    def train(self, *arguments: Any, **named: Any) -> float:
        return self._clocked("train", self._trainer.train, *arguments, **named)

    def logits(self, *arguments: Any) -> Any:
        return self._clocked("validate", self._trainer.logits, *arguments)

    def _clocked(self, what: str, call: Any, *arguments: Any, **named: Any) -> Any:
        start, built = time.perf_counter(), self._trainer.build_seconds
        result = call(*arguments, **named)
        self._seconds[what].append(time.perf_counter() - start - (self._trainer.build_seconds - built))
        return result


class Clocks:
    """Hands out clocked tails, and listens to a search.

    Attributes:
        train: Unfreeze depth to seconds of each epoch of a fold.
        validate: The same of the validations.
        products: Unfreeze depth to matrix products in the tail's type, measured after each of its runs.
        checkpoints: Most runs with checkpoints on the disk at a time.
    """

    def __init__(self, trainers: Any, run_directory: Path, policy: str) -> None:
        self.train: dict[int, list[float]] = defaultdict(list)
        self.validate: dict[int, list[float]] = defaultdict(list)
        self.products: dict[int, ProductRates] = defaultdict(partial(ProductRates, policy.removeprefix("mixed_")))
        self.checkpoints = 0
        self._trainers = trainers
        self._run_directory = run_directory
        self._depth = 0

    def __call__(self, configuration: Any) -> Any:
        depth = configuration.unfreeze_depth
        return ClockedTrainer(self._trainers(configuration), self.train[depth], self.validate[depth])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainers, name)  # its banks, and what it says where memory runs out

    def trial_begins(self, run: int, assignment: object, configuration: Any) -> None:
        self._depth = configuration.unfreeze_depth

    def epoch_ended(self, run: int, fold: int, epoch: int) -> None:
        self.checkpoints = max(self.checkpoints, len(list(self._run_directory.glob("checkpoints/*"))))

    def trial_ended(self, record: object) -> None:
        self.products[self._depth].measure()


def engine_side(
    setting: Setting,
    depths: tuple[int, ...],
    workspace: Path,
    *,
    one_run_a_depth: int | None,
    give: Callable[[Any, Any], None] | None = None,
) -> dict[str, Any]:
    """Banks, then the whole plan, or where ``one_run_a_depth`` is given one run of so many epochs at each depth.

    ``give`` is called with the views and the trials' data when all is over.
    """
    from search.bit.architecture import R50X1
    from search.machine.libraries import start_tensorflow
    from search.protocols.expected_banks import checkpoint_peak
    from search.tuner.search import run_search

    start_tensorflow(deterministic=True)
    films, split = prepared_films(setting, workspace)
    config, plan = config_and_plan(setting, depths, one_run_a_depth)
    folder = workspace / "engine"
    with Usage(folder) as usage:
        start = time.perf_counter()
        views, banks, data = filled_banks(setting, config, films, split, depths, workspace)
        filled = time.perf_counter() - start
        settings, pool = settings_and_trainers(setting, config, plan, data)
        clocks = Clocks(pool, folder, setting.policies[1])
        outcome = run_search(plan, config, data, settings, trainers=clocks, run_directory=folder, listener=clocks)
        wall = time.perf_counter() - start - sum(products.seconds for products in clocks.products.values())
    if give:
        give(views, data)
    records = outcome.records
    images = settings.steps_per_epoch * settings.batch_size
    return {
        "wall": wall,
        "bank_seconds": filled,
        "bank_bytes": banks.total_bytes,
        "images_an_epoch": images,
        "objective": outcome.winner.objective,
        "overhead": [record.overhead_seconds for record in records],
        "builds": [record.build_seconds for record in records if record.build_seconds > 0.05],
        "runs": len(records),
        "trials": [
            {
                "configuration": record.configuration,
                "values": record.hyperparameters,
                "initial_epoch": record.initial_epoch,
                "epochs": record.epochs,
            }
            for record in records
        ],
        "epochs": sum(record.epochs - record.initial_epoch for record in records),
        "by_depth": {
            depth: _of_depth(clocks, depth, R50X1.convolution_flop(setting.side), images) for depth in clocks.train
        },
        "checkpoints": [clocks.checkpoints, checkpoint_peak(plan)],
        "disk": usage.disk,
        "disk_at_the_end": folder_size(folder),
        "memory": usage.memory,
        "matmul_gflops": statistics.median(r for each in clocks.products.values() for r in each.rates) / 1e9,
    }


def config_and_plan(setting: Setting, depths: tuple[int, ...], one_run_a_depth: int | None) -> tuple[Any, Any]:
    """The configuration, whose known configurations are those that the other side tries, in their order; the plan."""
    from search.config.schema import KnownConfiguration

    plan, configurations = planned(setting, depths, one_run_a_depth)
    config = setting.config(depths)
    known = tuple(KnownConfiguration(**asdict(each)) for each in configurations)
    return config.model_copy(update={"space": config.space.model_copy(update={"known": known})}), plan


def filled_banks(
    setting: Setting, config: Any, films: Any, split: Any, depths: tuple[int, ...], workspace: Path
) -> tuple[Any, Any, Any]:
    """The stored views, the plan of the banks, and the trials' data."""
    from search.bit.architecture import R50X1
    from search.bit.weights import random_weights
    from search.boundary.banks import boundary_shapes, boundary_values
    from search.boundary.plan import plan_banks
    from search.boundary.views import stored_views
    from search.trials.data import development_data

    table = films.table
    banks = plan_banks(
        table.labels[split.development_rows(table)],
        len(table.class_names),
        boundary_shapes(R50X1, depths, setting.side),
        base_views=setting.views,
        most_views=setting.most_views,
        max_bytes=10**12,
    )
    views = stored_views(films, split, banks, seed=SEED, augmentation=config.augmentation.settings())
    values = boundary_values(
        views,
        banks,
        architecture=R50X1,
        weights=random_weights(R50X1, 0),
        cache=workspace / "banks",
        max_bytes=10**12,
        dtype=setting.policies[0],
    )
    return views, banks, development_data(values, views.offsets, films, split, folds=FOLDS)


def settings_and_trainers(setting: Setting, config: Any, plan: Any, data: Any) -> tuple[Any, Any]:
    """What is constant over the trials, and their compiled tails."""
    from search.bit.architecture import R50X1
    from search.bit.weights import random_weights
    from search.trials.data import TrainingSettings
    from search.trials.worker import TrainerPool

    training = max(len(part) for part, _ in data.folds)
    settings = TrainingSettings(
        seed=SEED,
        batch_size=config.search.batch_size,
        steps_per_epoch=-(-training // config.search.batch_size),
        full_epochs=plan.max_epochs,
    )
    weights, tail = random_weights(R50X1, 0), setting.policies[1]
    return settings, TrainerPool(R50X1, weights, data, optimizer=config.search.optimizer, dtype=tail)


def _of_depth(clocks: Clocks, depth: int, flop: tuple[int, ...], images: int) -> dict[str, float]:
    """Mean seconds of an epoch of a fold, and the rate of the tail's convolutions beside that of matrix products."""
    train, validate = statistics.mean(clocks.train[depth]), statistics.mean(clocks.validate[depth])
    if not depth:
        return {"train": train, "validate": validate}
    rate = 3 * sum(flop[-depth:]) * images / statistics.median(clocks.train[depth])
    products = statistics.median(clocks.products[depth].rates)
    return {
        "train": train,
        "validate": validate,
        "gflops": rate / 1e9,
        "matmul_gflops": products / 1e9,
        "share_of_matmul_rate": rate / products,
    }
