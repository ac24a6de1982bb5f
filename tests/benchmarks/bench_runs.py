"""What a run costs beside its arithmetic: overhead, first builds, memory and disk over hundreds of small runs.

Run: uv run python tests/benchmarks/bench_runs.py [--runs 200] [--depths 0] [--epochs 1] [--side 224] [--json]

A random search with R50x1's tails on synthetic boundary values, as many images as MIAS has for development, five folds,
all five head widths. The trunk never runs: what is looked at is everything else. The goals: a median overhead of at
most 0.5 s a run, at most 4 s for the first build of a graph, RssAnon growing by less than 100 MB over 200 runs once
every graph is there, and less than 0.5 GB on disk at depth 0.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

IMAGES_OF_CLASS = (155, 47, 40)
VIEWS_OF_CLASS = (4, 13, 16)
FOLDS = 5


class Watching:
    """Notes the memory after each run, and the folder's size while runs go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory: list[int] = []
        self.disk = 0

    def trial_begins(self, run: int, assignment: object, configuration: object) -> None: ...

    def epoch_ended(self, run: int, fold: int, epoch: int) -> None: ...

    def trial_ended(self, record: Any) -> None:
        from tests.benchmarks.usage import anonymous_memory, folder_size

        self.memory.append(anonymous_memory())
        self.disk = max(self.disk, folder_size(self.folder))


def synthetic_data(depths: tuple[int, ...], side: int) -> Any:
    """Boundary values that tell the classes apart a little, in the shapes of real ones."""
    from search.bit.architecture import R50X1
    from search.boundary.values import BoundaryBank, bank_dtype
    from search.trials.data import TrialData

    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 2], IMAGES_OF_CLASS))
    offsets = np.concatenate([[0], np.cumsum(np.array(VIEWS_OF_CLASS)[labels])])
    banks = {}
    for depth in depths:
        shape = R50X1.boundary_shape(depth, (side, side))
        values = rng.standard_normal((int(offsets[-1]), *shape), dtype=np.float32)
        values[..., 0] += np.repeat(labels, np.diff(offsets)).reshape(-1, *(1 for _ in shape[1:]))
        banks[depth] = BoundaryBank(depth, values.astype(bank_dtype(depth)), offsets)
    names = tuple(f"mdb{number:03d}" for number in range(1, len(labels) + 1))
    part = np.arange(len(labels)) // 2 % FOLDS
    return TrialData(
        banks=banks,
        labels=labels,
        image_ids=names,
        patient_ids=tuple(f"p{number // 2:03d}" for number in range(len(labels))),
        class_names=("normal", "benign", "malignant"),
        folds=tuple((np.flatnonzero(part != fold), np.flatnonzero(part == fold)) for fold in range(FOLDS)),
    )


def measure(runs: int, depths: tuple[int, ...], epochs: int, side: int) -> dict[str, float]:
    """Search, and say what the runs took."""
    from search.bit.architecture import R50X1
    from search.bit.weights import random_weights
    from search.config.reading import load_config
    from search.machine.libraries import start_tensorflow
    from search.plan.protocol import plan_search
    from search.trials.data import TrainingSettings
    from search.trials.worker import TrainerPool
    from search.tuner.search import run_search
    from tests.benchmarks.usage import folder_size

    start_tensorflow(deterministic=True)
    config = load_config(
        None,
        {
            "space.unfreeze_depth": list(depths),
            "search.tuner": "random",
            "search.max_trials": runs,
            "search.max_epochs": epochs,
        },
    )
    data = synthetic_data(depths, side)
    training = max(len(part) for part, _ in data.folds)
    settings = TrainingSettings(seed=0, batch_size=32, steps_per_epoch=-(-training // 32), full_epochs=epochs)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        watching = Watching(folder)
        records = run_search(
            plan_search(config.search),
            config,
            data,
            settings,
            trainers=TrainerPool(R50X1, random_weights(R50X1, 0), data, optimizer=config.search.optimizer),
            run_directory=folder,
            listener=watching,
        ).records
        disk_at_the_end = folder_size(folder)
    seconds = sum(record.seconds for record in records)
    trained = sum(record.epochs for record in records) * FOLDS * settings.steps_per_epoch * settings.batch_size
    builds = [record.build_seconds for record in records if record.build_seconds > 0.1]
    last_build = max(record.trial for record in records if record.build_seconds > 0.1)
    return {
        "runs": len(records),
        "seconds": seconds,
        "images_trained_a_second": trained / seconds,
        "median_overhead_seconds": statistics.median(record.overhead_seconds for record in records),
        "largest_overhead_seconds": max(record.overhead_seconds for record in records),
        "graphs_built": len(builds),
        "median_build_seconds": statistics.median(builds),
        "largest_build_seconds": max(builds),
        "run_of_the_last_build": last_build,
        "memory_growth_mb_since_then": (watching.memory[-1] - watching.memory[last_build]) / 1e6,
        "memory_growth_mb_since_the_first_run": (watching.memory[-1] - watching.memory[0]) / 1e6,
        "disk_peak_mb": watching.disk / 1e6,
        "disk_at_the_end_mb": disk_at_the_end / 1e6,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--depths", default="0")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    found = measure(options.runs, tuple(map(int, options.depths.split(","))), options.epochs, options.side)
    lines = [f"{name.replace('_', ' '):<42} {value:,.4g}" for name, value in found.items()]
    sys.stdout.write((json.dumps(found, indent=2) if options.json else "\n".join(lines)) + "\n")


if __name__ == "__main__":
    main()
