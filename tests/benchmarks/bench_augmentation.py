"""What a fixed bank of views costs beside a new random view in every epoch.

Run: uv run python tests/benchmarks/bench_augmentation.py [--seeds 10] [--depth 0]

On synthetic films, with the same patients, folds, start weights, draws of images and dropout, each seed is searched for
one configuration twice: from a bank (4 to 16 stored views an image, as a search has them) and from views that are drawn
anew each time an image is. What is compared is the objective of a trial: the best epoch of the mean fold curve of the
macro AUC. Printed are the mean loss of the bank over the seeds and the upper limit of its 95 % interval (paired t);
the goal is a limit below 0.02.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PATIENTS = 60
FILM = 256
SIDE = 96
FOLDS = 3
EPOCHS = 20


@dataclass
class FreshViews:
    """Boundary values of views that nobody has seen before, in the place of a bank's.

    Each reading augments the images anew and runs the trunk; view 0, for validation, is the image itself.
    """

    images: NDArray[np.uint8]
    names: tuple[str, ...]
    augmentation: Any
    trunk: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    seed: int
    reading: int = 0

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        from mammo_data.training.augmentation import augment
        from search.boundary.values import whole_batch

        wanted = np.asarray(rows, dtype=np.int64)
        validation = wanted.ndim == 1  # epochs are read as [steps, batch], validation as a list
        self.reading += 0 if validation else 1
        films = []
        for position, row in enumerate(wanted.reshape(-1)):
            film = self.images[row]
            if not validation:
                name = zlib.crc32(self.names[row].encode())
                film = augment(
                    film, self.augmentation, np.random.default_rng((self.seed, self.reading, position, name))
                )
            films.append(film)
        pixels = np.repeat((np.stack(films).astype(np.float32) / 127.5 - 1)[..., None], 3, axis=-1)
        parts = []
        for start in range(0, len(pixels), 32):
            part = pixels[start : start + 32]
            parts.append(self.trunk(whole_batch(part, 32))[0][: len(part)])
        return np.concatenate(parts).astype(self.dtype).reshape(*wanted.shape, *self.shape[1:])


def objectives(depth: int, seed: int, workspace: Path) -> tuple[float, float]:
    """A trial's objective from the bank and from fresh views."""
    from dataclasses import replace

    from mammo_data.phantom.dataset import write_phantom
    from mammo_data.preparation.prepared import prepare
    from mammo_data.preparation.settings import AugmentationSettings, PreparationSettings
    from mammo_data.sources.open import open_source
    from mammo_data.splits import patient_split
    from search.bit.architecture import SMALL
    from search.bit.weights import random_weights
    from search.boundary.banks import boundary_shapes, boundary_values
    from search.boundary.plan import plan_banks
    from search.boundary.trunk import frozen_trunk
    from search.boundary.values import BoundaryBank, bank_dtype
    from search.boundary.views import stored_views
    from search.plan.space import Configuration
    from search.trials.cross_validation import OBJECTIVE, score, train_fold
    from search.trials.data import TrainingSettings, development_data
    from search.trials.worker import TrainerPool

    folder = workspace / f"films-{seed}"
    films = prepare(
        open_source(write_phantom(folder, patients=PATIENTS, seed=1000 + seed, image_size=FILM)),
        PreparationSettings(image_size=SIDE),
        workspace / "prepared",
    )
    split = patient_split(films.table, test_fraction=0.1, folds=FOLDS, seed=seed)
    augmentation = AugmentationSettings()
    weights = random_weights(SMALL, 0)
    rows = split.development_rows(films.table)
    shapes = boundary_shapes(SMALL, (depth,), SIDE)
    plan = plan_banks(films.table.labels[rows], 3, shapes, base_views=4, most_views=16, max_bytes=10**12)
    views = stored_views(films, split, plan, seed=seed, augmentation=augmentation)
    values = boundary_values(
        views, plan, architecture=SMALL, weights=weights, cache=workspace / "banks", max_bytes=10**12
    )
    data = development_data(values, views.offsets, films, split, folds=FOLDS)
    fresh = FreshViews(
        np.asarray(films.images[rows]),
        data.image_ids,
        augmentation,
        frozen_trunk(SMALL, weights, image_size=SIDE, depths=[depth]),
        (len(rows), *shapes[depth]),
        bank_dtype(depth),
        seed,
    )
    anew = replace(data, banks={depth: BoundaryBank(depth, fresh, np.arange(len(rows) + 1))})
    training = max(len(part) for part, _ in data.folds)
    settings = TrainingSettings(seed=seed, batch_size=32, steps_per_epoch=-(-training // 32), full_epochs=EPOCHS)
    configuration = Configuration(
        head_width=128, dropout=0.3, l2=1e-4, learning_rate=0.01 if depth else 0.03, unfreeze_depth=depth
    )
    trainer = TrainerPool(SMALL, weights, data, optimizer="sgd")(configuration)
    found = []
    for source in (data, anew):
        curves = [
            train_fold(trainer, configuration, source, settings, fold=fold, initial_epoch=0, epochs=EPOCHS).curves[
                OBJECTIVE
            ]
            for fold in range(FOLDS)
        ]
        best = score(curves).objective
        assert best is not None
        found.append(best)
    return found[0], found[1]


def main() -> None:
    """Print the objectives of each seed, and the loss."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--depth", type=int, default=0)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from scipy import stats

    losses = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            bank, fresh = objectives(options.depth, seed, Path(folder))
            losses.append(fresh - bank)
            sys.stdout.write(f"seed {seed}: bank {bank:.4f}, new views {fresh:.4f}, loss {fresh - bank:+.4f}\n")
            sys.stdout.flush()
    mean, error = statistics.mean(losses), statistics.stdev(losses) / len(losses) ** 0.5
    upper = mean + float(stats.t.ppf(0.975, len(losses) - 1)) * error
    sys.stdout.write(f"depth {options.depth}: mean loss of the bank {mean:+.4f}, upper 95 % limit {upper:+.4f}\n")


if __name__ == "__main__":
    main()
