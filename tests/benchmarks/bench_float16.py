"""What storing boundary values in float16 does to a trial's objective, beside the float32 values of the same trunk.

Run: uv run python tests/benchmarks/bench_float16.py [--depths 1,2,3] [--side 96] [--epochs 6] [--patients 60]

R50x1 with random weights on synthetic films. For depths 1 to 3, four drawn configurations each are trained twice, with
the same draws, start values and dropout: from the values as the trunk gives them and from the same rounded to float16.
The goals over the 12: a mean signed difference within 0.005, and each within 0.02, in macro AUC.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

DEPTHS = (1, 2, 3)
CONFIGURATIONS_A_DEPTH = 4


def boundaries(
    depths: tuple[int, ...], side: int, patients: int, folds: int, workspace: Path
) -> tuple[Any, Any, dict[int, Any]]:
    """Trial data without banks, the images' offsets, and the trunk's float32 values of all views by depth."""
    from mammo_data.phantom.dataset import write_phantom
    from mammo_data.preparation.prepared import prepare
    from mammo_data.preparation.settings import AugmentationSettings, PreparationSettings
    from mammo_data.sources.open import open_source
    from mammo_data.splits import patient_split
    from search.bit.architecture import R50X1
    from search.bit.weights import random_weights
    from search.boundary.banks import boundary_shapes
    from search.boundary.plan import plan_banks
    from search.boundary.trunk import frozen_trunk
    from search.boundary.values import whole_batch
    from search.boundary.views import TRUNK_BATCH, stored_views
    from search.trials.data import development_data

    source = open_source(write_phantom(workspace / "films", patients=patients, seed=0, image_size=256))
    films = prepare(source, PreparationSettings(image_size=side), workspace / "prepared")
    split = patient_split(films.table, folds=max(folds, 2), seed=0)
    labels = films.table.labels[split.development_rows(films.table)]
    shapes = boundary_shapes(R50X1, depths, side)
    plan = plan_banks(labels, 3, shapes, base_views=2, most_views=6, max_bytes=10**12)
    views = stored_views(films, split, plan, seed=0, augmentation=AugmentationSettings())
    trunk = frozen_trunk(R50X1, random_weights(R50X1, 0), image_size=side, depths=depths)
    parts: list[list[Any]] = [[] for _ in depths]
    for pixels in views.batches(0):
        for part, values in zip(parts, trunk(whole_batch(pixels, TRUNK_BATCH)), strict=True):
            part.append(values[: len(pixels)])
    data = development_data({}, views.offsets, films, split, folds=folds)
    values = {depth: np.concatenate(part) for depth, part in zip(depths, parts, strict=True)}
    return data, views.offsets, values


def differences(
    depths: tuple[int, ...], side: int, patients: int, folds: int, epochs: int, workspace: Path
) -> list[dict[str, float]]:
    """Objective from float32 and from float16 values, for each configuration."""
    from dataclasses import replace

    from search.bit.architecture import R50X1
    from search.bit.weights import random_weights
    from search.boundary.values import BoundaryBank
    from search.config.schema import SpaceSection
    from search.machine.libraries import start_tensorflow
    from search.plan.space import draw_configurations
    from search.trials.cross_validation import OBJECTIVE, score, train_fold
    from search.trials.data import TrainingSettings
    from search.trials.worker import TrainerPool

    start_tensorflow(deterministic=True)
    data, offsets, values = boundaries(depths, side, patients, folds, workspace)
    training = max(len(part) for part, _ in data.folds)
    settings = TrainingSettings(seed=0, batch_size=32, steps_per_epoch=-(-training // 32), full_epochs=epochs)
    drawn = draw_configurations(SpaceSection(head_width=(128,)), 200, seed=0)
    found = []
    for depth in depths:
        banks = [values[depth], values[depth].astype(np.float16)]
        sources = [replace(data, banks={depth: BoundaryBank(depth, bank, offsets)}) for bank in banks]
        trainer = None
        for configuration in [each for each in drawn if each.unfreeze_depth == depth][:CONFIGURATIONS_A_DEPTH]:
            objectives = []
            for source in sources:
                trainer = trainer or TrainerPool(R50X1, random_weights(R50X1, 0), source, optimizer="sgd")(
                    configuration
                )
                curves = [
                    train_fold(
                        trainer, configuration, source, settings, fold=fold, initial_epoch=0, epochs=epochs
                    ).curves[OBJECTIVE]
                    for fold in range(folds)
                ]
                objectives.append(score(curves).objective or float("nan"))
            found.append(
                {
                    "depth": depth,
                    "learning_rate": configuration.learning_rate,
                    "float32": objectives[0],
                    "float16": objectives[1],
                    "difference": objectives[1] - objectives[0],
                }
            )
            sys.stderr.write(f"{found[-1]}\n")
    return found


def main() -> None:
    """Print the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", default=",".join(map(str, DEPTHS)))
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    clock = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        depths = tuple(map(int, options.depths.split(",")))
        rows = differences(depths, options.side, options.patients, options.folds, options.epochs, Path(folder))
    signed = [row["difference"] for row in rows]
    answer = {
        "configurations": rows,
        "mean_signed_difference": float(np.mean(signed)),
        "largest_difference": float(np.abs(signed).max()),
        "seconds": time.perf_counter() - clock,
    }
    if options.json:
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        return
    for row in rows:
        sys.stdout.write(
            f"depth {row['depth']}, learning rate {row['learning_rate']:.2g}: "
            f"float32 {row['float32']:.4f}, float16 {row['float16']:.4f}, {row['difference']:+.4f}\n"
        )
    sys.stdout.write(
        f"mean signed difference {answer['mean_signed_difference']:+.4f}, largest {answer['largest_difference']:.4f}, "
        f"{answer['seconds']:.0f} s\n"
    )


if __name__ == "__main__":
    main()
