"""The engine beside plain KerasTuner: the same backbone, plan, images and hyperparameters.

Run: uv run python tests/benchmarks/bench_search.py [--full] [--json]

Each side runs in a process of its own, one after the other, on synthetic films, in float32:

plain   KerasTuner's own build, fit and checkpoint of every run, the frozen part in the graph, one validation split
        (`plain_search`).
engine  boundary banks, compiled tails, five folds for every run.

The small setting searches twice at 96 px, at depth 0 alone and at depths 0 to 3, on both sides from start to end.
With --full it is 224 px and the plan of 40 runs on as many images as MIAS has. The engine's search at depth 0 is run
from start to end there, bank included. The rest would take most of a day: for each depth a run of two epochs of plain
KerasTuner and one epoch of the engine on every fold are measured at the full number of images, and projected over the
plan's epochs, with the depths in equal shares. "Same folds" is always the plain single split times the number of folds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FOLDS = 5
SEED = 0


@dataclass(frozen=True)
class Setting:
    """What both sides search on."""

    side: int
    patients: int
    max_trials: int
    max_epochs: int
    views: int
    most_views: int
    full: bool

    def config(self, depths: tuple[int, ...]) -> Any:
        """The search's configuration; "search.max_trials" and the space are what both sides share."""
        from search.config_file import load_config

        return load_config(
            None,
            {
                "preparation.image_size": self.side,
                "backbone.weights": "random",
                "space.unfreeze_depth": list(depths),
                "augmentation.views": self.views,
                "augmentation.most_views": self.most_views,
                "search.max_trials": self.max_trials,
                "search.max_epochs": self.max_epochs,
                "search.precision": "float32",
            },
        )


SMALL = Setting(side=96, patients=40, max_trials=5, max_epochs=4, views=2, most_views=4, full=False)
FULL = Setting(side=224, patients=161, max_trials=40, max_epochs=30, views=4, most_views=16, full=True)


class Usage:
    """Peaks of anonymous memory and of a folder's size, while the block runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory = 0
        self.disk = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Usage:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.memory = max(self.memory, anonymous_memory())
            self.disk = max(self.disk, folder_size(self.folder))
            if self._stop.wait(0.2):
                return


def anonymous_memory() -> int:
    """Bytes of anonymous memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no RssAnon in /proc/self/status")


def folder_size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # a checkpoint that was just pruned
            continue
    return total


def prepared_films(setting: Setting, cache: Path) -> tuple[Any, Any]:
    """Synthetic films, prepared, and the split of their patients."""
    from mammo_data.layouts import open_source
    from mammo_data.phantom import write_phantom
    from mammo_data.prepared import prepare
    from mammo_data.splits import patient_split

    folder = cache / "films"
    if not folder.exists():
        write_phantom(folder, patients=setting.patients, seed=SEED, image_size=256)
    films = prepare(open_source(folder), setting.config((0,)).preparation.settings(), cache / "prepared")
    return films, patient_split(films.table, folds=FOLDS, seed=SEED)


def plain_side(setting: Setting, depths: tuple[int, ...], workspace: Path, *, epochs: int | None) -> dict[str, Any]:
    """KerasTuner on one validation split: the whole plan, or where ``epochs`` is given one run a depth."""
    import keras
    import keras_tuner

    from mammo_data.pipeline import evaluation_dataset, training_dataset
    from search.bit_architecture import R50X1
    from search.bit_weights import random_weights
    from search.hyperband_plan import plan_without_promotions
    from search.hypermodel import MammoHyperModel
    from search.oracle import PlannedOracle
    from search.plan_text import plan_search
    from search.space import declare_space, draw_configurations
    from tests.benchmarks.plain_search import PlainTuner, TimedHyperModel, one_hot

    films, split = prepared_films(setting, workspace)
    table, config = films.table, setting.config(depths)
    training, validation = split.fold_rows(table, 0)
    classes = len(table.class_names)
    steps = -(-len(training) // config.search.batch_size)
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
    plan = plan_search(config.search)
    configurations = draw_configurations(config.space, plan.configurations + plan.spares, seed=SEED)
    if epochs is not None:
        plan = plan_without_promotions(len(depths), max_epochs=epochs)
        of_depth = {each.unfreeze_depth: each for each in configurations}
        configurations = tuple(of_depth[depth] for depth in depths)
    hyperparameters = keras_tuner.HyperParameters()
    declare_space(hyperparameters, config.space)
    keras.utils.set_random_seed(SEED)
    oracle = PlannedOracle(plan, configurations, hyperparameters=hyperparameters, seed=SEED)
    hypermodel = MammoHyperModel(
        R50X1, random_weights(R50X1, 0), image_size=setting.side, n_classes=classes, space=config.space
    )
    folder = workspace / "plain"
    with Usage(folder) as usage:
        start = time.perf_counter()
        tuner = PlainTuner(oracle, TimedHyperModel(hypermodel), folder)
        tuner.search(one_hot(fed, classes), validation_data=one_hot(held, classes), verbose=0)
        wall = time.perf_counter() - start
    runs = tuner.timed.runs
    return {
        "wall": wall,
        "space_build": tuner.space_build,
        "images_an_epoch": steps * config.search.batch_size,
        "runs": [asdict(run) for run in runs],
        "objective": max(trial.score for trial in oracle.trials.values()),
        "disk": usage.disk,
        "memory": usage.memory,
    }


def engine_side(setting: Setting, depths: tuple[int, ...], workspace: Path, *, search: bool) -> dict[str, Any]:
    """The engine: banks, then the whole search, or an epoch of each depth on every fold."""
    from search.bank_plan import plan_banks
    from search.bit_architecture import R50X1
    from search.bit_weights import random_weights
    from search.development import boundary_shapes, boundary_values, development_data, stored_views
    from search.environment import start_tensorflow
    from search.plan_text import plan_search
    from search.search_stage import TrainerPool, run_search
    from search.trial_data import TrainingSettings

    start_tensorflow(deterministic=True)
    films, split = prepared_films(setting, workspace)
    config, table = setting.config(depths), films.table
    weights = random_weights(R50X1, 0)
    plan = plan_search(config.search)
    rows = split.development_rows(table)
    banks = plan_banks(
        table.labels[rows],
        len(table.class_names),
        boundary_shapes(R50X1, depths, setting.side),
        base_views=setting.views,
        most_views=setting.most_views,
        max_bytes=10**12,
    )
    folder = workspace / "engine"
    with Usage(folder) as usage:
        start = time.perf_counter()
        views = stored_views(films, split, banks, seed=SEED, augmentation=config.augmentation.settings())
        values = boundary_values(
            views,
            banks,
            architecture=R50X1,
            weights=weights,
            cache=workspace / f"banks-{'-'.join(map(str, depths))}",
            max_bytes=10**12,
        )
        data = development_data(values, views.offsets, films, split, folds=FOLDS)
        filled = time.perf_counter() - start
        training = max(len(part) for part, _ in data.folds)
        settings = TrainingSettings(
            seed=SEED,
            batch_size=config.search.batch_size,
            steps_per_epoch=-(-training // config.search.batch_size),
            full_epochs=plan.max_epochs,
        )
        trainers = TrainerPool(R50X1, weights, data, optimizer=config.search.optimizer)
        result: dict[str, Any] = {
            "bank_seconds": filled,
            "bank_bytes": banks.total_bytes,
            "views": banks.views,
            "images_an_epoch": settings.steps_per_epoch * settings.batch_size,
            "plan": {"runs": plan.runs, "epochs": plan.epochs, "graphs": len(depths) * len(config.space.head_width)},
        }
        if search:
            outcome = run_search(
                plan, config, data, settings, trainers=trainers, run_directory=folder, listener=_Silent()
            )
            result["wall"] = time.perf_counter() - start
            result["objective"] = outcome.winner.objective
            result["runs"] = [
                {
                    "depth": record.hyperparameters["unfreeze_depth"],
                    "epochs": record.epochs - record.initial_epoch,
                    "seconds": record.seconds,
                    "overhead": record.overhead_seconds,
                    "build": record.build_seconds,
                }
                for record in outcome.records
            ]
            result["disk_at_the_end"] = folder_size(folder)
        result["epochs"] = {depth: _epoch_of(depth, config, trainers, data, settings) for depth in depths}
    return result | {"disk": usage.disk, "memory": usage.memory}


class _Silent:
    def run_begins(self, run: int, assignment: object, configuration: object) -> None: ...

    def epoch_ended(self, run: int, fold: int, epoch: int) -> None: ...

    def run_ended(self, record: object) -> None: ...


def _epoch_of(depth: int, config: Any, trainers: Any, data: Any, settings: Any) -> dict[str, float]:
    """An epoch on every fold with a compiled tail: seconds of training, of validation, and of the first build."""
    import numpy as np
    import tensorflow as tf

    from search.bit_architecture import R50X1
    from search.cross_validation import train_epoch, validation_metrics
    from search.space import draw_configurations

    drawn = draw_configurations(config.space, 200, seed=SEED)
    configuration = next(each for each in drawn if each.unfreeze_depth == depth)
    matrix = tf.constant(np.random.default_rng(SEED).normal(size=(2048, 2048)), tf.float32)
    product = tf.function(lambda: tf.matmul(matrix, matrix))
    bank = data.banks[depth]

    def one(fold: int) -> tuple[float, float]:
        training, validation = data.folds[fold]
        start = time.perf_counter()
        train_epoch(trainer, configuration, data, settings, training, 1, "fold", fold)
        between = time.perf_counter()
        validation_metrics(data.labels[validation], trainer.logits(bank.values, bank.offsets[validation]))
        return between - start, time.perf_counter() - between

    def matmul() -> float:
        start = time.perf_counter()
        for _ in range(4):
            product().numpy()
        return (time.perf_counter() - start) / 4

    start = time.perf_counter()
    trainer = trainers(configuration)
    trainer.begin(configuration, SEED, "fold", 0)
    one(0)
    first = time.perf_counter() - start
    matmul()
    parts, products = [], []
    # A head's epoch is so short that one of them is measured more often.
    for fold in list(range(len(data.folds))) * (1 if depth else 10):
        products.append(matmul())
        parts.append(one(fold))
    train, validate = (statistics.median(column) for column in zip(*parts, strict=True))
    images = settings.steps_per_epoch * settings.batch_size
    forward = sum(R50X1.convolution_flop(config.preparation.image_size)[-depth:]) if depth else 0
    flop = 3 * forward * images
    return {
        "train": train,
        "validate": validate,
        "build": max(0.0, first - train - validate),
        "gflops": flop / train / 1e9,
        "matmul_gflops": 2 * 2048**3 / statistics.median(products) / 1e9,
    }


def plain_wall(plain: dict[str, Any], runs: int, epochs: int, depths: tuple[int, ...]) -> float:
    """Seconds of the whole plan on one split, from one measured run a depth; the depths have equal shares."""
    total = plain["space_build"]
    for depth in depths:
        (run,) = (run for run in plain["runs"] if run["depth"] == depth)
        steady = statistics.median(run["epochs"][1:])
        once = run["build"] + run["epochs"][0] - steady + run["rest"]
        total += (runs * once + epochs * steady) / len(depths)
    return total


def engine_wall(engine: dict[str, Any], folds: int, depths: tuple[int, ...], overhead: float) -> float:
    """Seconds of the whole plan on all folds, bank included, from one measured epoch a depth."""
    plan = engine["plan"]
    total = engine["bank_seconds"] + plan["runs"] * overhead
    for depth in depths:
        cost = engine["epochs"][str(depth)]
        graphs = min(plan["graphs"], plan["runs"]) / len(depths)
        total += graphs * cost["build"] + plan["epochs"] * folds * (cost["train"] + cost["validate"]) / len(depths)
    return total


def child(side: str, setting: Setting, depths: tuple[int, ...], workspace: Path) -> dict[str, Any]:
    """One side in a process of its own."""
    arguments = [sys.executable, __file__, "--side", side, "--workspace", str(workspace)]
    arguments += ["--depths", ",".join(map(str, depths)), *(["--full"] if setting.full else [])]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(arguments, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare_small(workspace: Path) -> dict[str, Any]:
    """Both searches from start to end, at depth 0 and mixed."""
    answer: dict[str, Any] = {}
    for name, depths in (("depth 0", (0,)), ("depths 0 to 3", (0, 1, 2, 3))):
        folder = workspace / name.replace(" ", "-")
        plain, engine = (child(side, SMALL, depths, folder) for side in ("plain", "engine"))
        answer[name] = _comparison(plain["wall"], engine["wall"]) | _figures(plain, engine, depths)
    return answer


def compare_full(workspace: Path) -> dict[str, Any]:
    """The plan of 40 runs, measured and projected as the module says."""
    depths = (0, 1, 2, 3)
    plain = child("plain", FULL, depths, workspace)
    mixed = child("engine", FULL, depths, workspace)
    alone = child("engine-search", FULL, (0,), workspace)
    runs, epochs = (alone["plan"][name] for name in ("runs", "epochs"))
    overhead = statistics.median(run["overhead"] for run in alone["runs"])
    figures = _figures(plain, mixed | {"runs": alone["runs"]}, depths)
    return {
        "depth 0": _comparison(plain_wall(plain, runs, epochs, (0,)), alone["wall"])
        | {"objective": alone["objective"], "disk_gb": [None, alone["disk"] / 1e9]}
        | {"disk_at_the_end_gb": alone["disk_at_the_end"] / 1e9, "bank_seconds": alone["bank_seconds"]},
        "depths 0 to 3": _comparison(
            plain_wall(plain, runs, epochs, depths), engine_wall(mixed, FOLDS, depths, overhead)
        )
        | figures,
    }


def _comparison(plain_seconds: float, engine_seconds: float) -> dict[str, float]:
    return {
        "plain_single_split_seconds": plain_seconds,
        "plain_same_folds_seconds": plain_seconds * FOLDS,
        "engine_five_folds_seconds": engine_seconds,
        "times_faster_than_single_split": plain_seconds / engine_seconds,
        "times_faster_than_same_folds": plain_seconds * FOLDS / engine_seconds,
    }


def _figures(plain: dict[str, Any], engine: dict[str, Any], depths: tuple[int, ...]) -> dict[str, Any]:
    rates = {}
    for depth in depths:
        steady = [seconds for run in plain["runs"] if run["depth"] == depth for seconds in run["epochs"][1:]]
        cost = engine["epochs"][str(depth)]
        fast = engine["images_an_epoch"] / (cost["train"] + cost["validate"])
        slow = plain["images_an_epoch"] / statistics.median(steady) if steady else None
        rates[depth] = {
            "plain_images_a_second": slow,
            "engine_images_a_second": fast,
            "ratio": fast / slow if slow else None,
            "first_build_seconds": cost["build"],
            "share_of_matmul_rate": cost["gflops"] / cost["matmul_gflops"],
            "matmul_gflops": cost["matmul_gflops"],
        }
    once = [run["build"] + run["rest"] + run["epochs"][0] for run in plain["runs"]]
    return {
        "by_depth": rates,
        "plain_seconds_of_a_run_before_its_second_epoch": statistics.median(once),
        "engine_overhead_of_a_run_seconds": statistics.median(run["overhead"] for run in engine["runs"]),
        "objective": [plain["objective"], engine.get("objective")],
        "disk_gb": [plain["disk"] / 1e9, engine["disk"] / 1e9],
        "bank_gb": engine["bank_bytes"] / 1e9,
        "anonymous_memory_gb": [plain["memory"] / 1e9, engine["memory"] / 1e9],
    }


def as_text(answer: dict[str, Any], indent: str = "") -> str:
    """Nested figures as indented lines."""
    lines = []
    for name, value in answer.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}", as_text(value, indent + "  ")]
        else:
            values = value if isinstance(value, list) else [value]
            shown = " and ".join("–" if each is None else f"{each:,.3g}" for each in values)
            lines.append(f"{indent}{str(name).replace('_', ' '):<50} {shown}")
    return "\n".join(lines)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=["plain", "engine", "engine-search"], help=argparse.SUPPRESS)
    parser.add_argument("--depths", default="0", help=argparse.SUPPRESS)
    parser.add_argument("--workspace", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    setting = FULL if options.full else SMALL
    if options.side:
        depths = tuple(map(int, options.depths.split(",")))
        if options.side == "plain":
            result = plain_side(setting, depths, options.workspace, epochs=2 if setting.full else None)
        else:
            search = options.side == "engine-search" or not setting.full
            result = engine_side(setting, depths, options.workspace, search=search)
        sys.stdout.write(json.dumps(result, default=float) + "\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        answer = compare_full(Path(folder)) if options.full else compare_small(Path(folder))
    sys.stdout.write((json.dumps(answer, indent=2) if options.json else as_text(answer)) + "\n")


if __name__ == "__main__":
    main()
