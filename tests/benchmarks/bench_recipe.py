"""The default recipe by experiment: shape of the decay, an average of weights or none, range of the head's rate.

    python -m tests.benchmarks.bench_recipe FOLDER [--sets 6]

FOLDER keeps ``table.jsonl`` and ``pretrained.safetensors``; what is in the table is not trained again, so that the
program may be stopped and spans sittings. bit-small is first trained, all of it, on another task with other phantom
women (no seed of theirs is used again): benign films from normal ones, no malignant one among them. So it resembles a
pretrained network: what is right for a random backbone need not be for the one that users have.

A line of the table is one configuration (schedule, rate, depth) trained through its whole schedule on each fold of one
phantom set. The weights of the last quarter of its epochs are averaged as well, batch norm estimated again in one pass
over training views; and a moving average over all epochs (half of it the last one) is kept. What is measured on
the patients that were held out (the mean of the fold models' figures): macro AUC, log loss, and the specificity of the
threshold that keeps 90 % of the out-of-fold negatives. ``swing`` is the largest step between epochs of a fold's
validation loss in the second half.

The summary takes, for each schedule and each upper end of the range, the configuration of the best out-of-fold macro
AUC, as a search does, and averages what it is worth on the held-out patients over the sets.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCHEDULES = ("constant", "cosine", "bit")
RATES = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1)
DEPTHS = (0, 1, 2)
FIRST_SEED = 2000
PRETRAINING_SEED = 90_000
FOLDS = 3
VARIANTS = ("last", "moving", "last quarter")
PATIENTS, FILM_SIZE, IMAGE_SIZE, EPOCHS = 160, 256, 96, 18
PRETRAINING_PATIENTS, PRETRAINING_EPOCHS = 480, 30


@dataclass(frozen=True)
class _Set:
    """One phantom set, ready to train on."""

    data: Any
    settings: Any
    trainers: Any
    weights: Any
    held_out: Any
    held_out_labels: NDArray[np.int64]


def main() -> None:
    """Train what the table lacks, and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", type=int, default=6)
    asked = parser.parse_args()
    asked.folder.mkdir(exist_ok=True)
    table = asked.folder / "table.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()] if table.is_file() else []
    from search.machine.libraries import start_tensorflow

    start_tensorflow(deterministic=True)
    weights = pretrained(asked.folder / "pretrained.safetensors")
    for seed in range(FIRST_SEED, FIRST_SEED + asked.sets):
        left = [arm for arm in product(SCHEDULES, RATES, DEPTHS) if (seed, *arm) not in map(_arm, rows)]
        if not left:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = _phantom_set(Path(folder), seed, weights)
            for schedule, rate, depth in left:
                rows.append({"seed": seed, "schedule": schedule, "rate": rate, "depth": depth})
                rows[-1] |= trained(found, schedule, rate, depth)
                with table.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
        summary(rows)
    summary(rows)


def _arm(row: Mapping[str, Any]) -> tuple[int, str, float, int]:
    return row["seed"], row["schedule"], row["rate"], row["depth"]


def pretrained(file: Path) -> Any:
    """bit-small that tells benign films of phantom women of its own from normal ones, made once."""
    from search.bit import BitWeights
    from search.bit.architecture import SMALL
    from search.bit.weights import fingerprint_of
    from search.files.tensors import load_checked_safetensors, save_checked_safetensors

    arrays = load_checked_safetensors(file) if file.is_file() else None
    if arrays is None:
        with tempfile.TemporaryDirectory() as folder:
            found = _phantom_set(Path(folder), PRETRAINING_SEED, None, another_task=True)
            settings = replace(found.settings, full_epochs=PRETRAINING_EPOCHS, most_backbone_rate=math.inf)
            trainer, configuration = _begun(found, 0.02, SMALL.max_depth)
            from tests.support.retrained import retrain

            (tail,) = retrain(trainer, configuration, found.data, settings, epochs=PRETRAINING_EPOCHS, seeds=1)
            print(f"pretraining: loss {tail.losses[0]:.3f} to {tail.losses[-1]:.3f}")
            arrays = {**found.weights.arrays, **tail.backbone}
            save_checked_safetensors(file, arrays)
    return BitWeights(arrays, fingerprint_of(arrays), "bit-small, trained on benign and normal phantom films")


def _phantom_set(folder: Path, seed: int, weights: Any, *, another_task: bool = False) -> _Set:
    """Films, split, banks and compiled tails of one set; the other task has no malignant film."""
    from mammo_data import load_cases, open_source, patient_split, prepare, write_phantom
    from search.bit.architecture import SMALL
    from search.bit.weights import random_weights
    from search.boundary.banks import boundary_shapes, boundary_values
    from search.boundary.plan import plan_banks
    from search.boundary.views import stored_views
    from search.config.schema import AugmentationSection, PreparationSection
    from search.trials.data import TrainingSettings, development_data
    from search.trials.schedule import bit_learning_rate
    from search.trials.worker import TrainerPool

    patients = PRETRAINING_PATIENTS if another_task else PATIENTS
    films = write_phantom(folder / "films", patients=patients, seed=seed, image_size=FILM_SIZE)
    if another_task:
        lines = ["image,patient,label"]
        for case in load_cases(open_source(films)).cases:
            if case.label == "malignant":
                (films / f"{case.image_id}.pgm").unlink()
            else:
                lines.append(f"{case.image_id}.pgm,{case.patient_id},{case.label}")
        (films / "Info.txt").unlink()
        (films / "cases.csv").write_text("\n".join(lines) + "\n")
    source = open_source(films)
    prepared = prepare(source, PreparationSection(image_size=IMAGE_SIZE).settings(), folder / "prepared")
    split = patient_split(prepared.table, test_fraction=0.25, folds=FOLDS, seed=seed)
    development, test = split.development_rows(prepared.table), split.test_rows(prepared.table)
    depths, backbone = ((SMALL.max_depth,) if another_task else DEPTHS), weights or random_weights(SMALL, seed)
    plan = plan_banks(
        prepared.table.labels[development],
        len(prepared.table.class_names),
        boundary_shapes(SMALL, depths, IMAGE_SIZE),
        base_views=4,
        most_views=16,
        max_bytes=10**10,
    )
    augmentation = AugmentationSection().settings()
    views = stored_views(prepared, split, plan, seed=seed, augmentation=augmentation)
    made = {"architecture": SMALL, "weights": backbone, "cache": folder / "banks", "max_bytes": 10**10}
    values = boundary_values(views, plan, **made)
    data = development_data(values, views.offsets, prepared, split, folds=FOLDS)
    training = max(len(rows) for rows, _ in data.folds)
    settings = TrainingSettings(
        seed=seed,
        batch_size=32,
        steps_per_epoch=-(-training // 32),
        full_epochs=EPOCHS,
        most_backbone_rate=10 * bit_learning_rate(32),
    )
    return _Set(
        data,
        settings,
        TrainerPool(SMALL, backbone, data, optimizer="sgd"),
        backbone,
        prepared.images[test],
        prepared.table.labels[test],
    )


def _begun(found: _Set, rate: float, depth: int) -> tuple[Any, Any]:
    from search.plan.space import Configuration

    configuration = Configuration(head_width=256, dropout=0.3, l2=1e-4, learning_rate=rate, unfreeze_depth=depth)
    return found.trainers(configuration), configuration


def trained(found: _Set, schedule: str, rate: float, depth: int) -> dict[str, Any]:
    """One configuration on every fold: what each way of taking its weights is worth."""
    from search.trials.cross_validation import DivergedError, draw_epoch, train_epoch

    trainer, configuration = _begun(found, rate, depth)
    settings = replace(found.settings, schedule=schedule)
    outside = _boundary(found, depth)
    inner: dict[str, list[Any]] = {name: [] for name in VARIANTS}
    outer: dict[str, list[Any]] = {name: [] for name in VARIANTS}
    swings = []
    bank, labels = found.data.banks[depth], found.data.labels
    for fold, (training, validation) in enumerate(found.data.folds):
        trainer.begin(configuration, settings.seed, "fold", fold)
        moving, kept, losses = None, [], []
        for epoch in range(1, EPOCHS + 1):
            try:
                train_epoch(trainer, configuration, found.data, settings, training, epoch, "fold", fold)
            except DivergedError:
                return {"diverged": epoch}
            state = trainer.state()
            moving = state if moving is None else _mean([moving, state])
            if epoch > EPOCHS - EPOCHS // 4:
                kept.append(state)
            losses.append(log_loss(labels[validation], trainer.logits(bank.values, bank.offsets[validation])))
        swings.append(float(np.abs(np.diff(losses[EPOCHS // 2 - 1 :])).max()))
        for name, weights in zip(VARIANTS, (state, moving, _mean(kept)), strict=True):
            trainer.restore(weights)
            if name == "last quarter":
                # Views drawn as for an epoch: the statistics that training had are those of balanced batches.
                drawn, views = draw_epoch(labels[training], bank.view_counts[training], settings, 0, "fold", fold)
                _estimate_batch_norm(trainer, bank.values[(bank.offsets[training[drawn]] + views).ravel()])
            inner[name].append(trainer.logits(bank.values, bank.offsets[validation]))
            outer[name].append(trainer.logits(outside, np.arange(len(outside))))
    return {"swing": max(swings), **{name: _worth(found, inner[name], outer[name]) for name in VARIANTS}}


def _mean(states: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The mean of floating-point variables; counters and random states are the last one's."""
    last = states[-1]
    return {
        name: np.mean([state[name] for state in states], axis=0).astype(values.dtype)
        if np.issubdtype(values.dtype, np.floating)
        else values
        for name, values in last.items()
    }


def _estimate_batch_norm(trainer: Any, values: NDArray[Any]) -> None:
    """Moving statistics of the head's two batch norms over some stored views, layer by layer."""
    import keras

    for name in ("head_input_norm", "head_norm"):
        layer = trainer.model.get_layer(name)
        before = keras.Model(trainer.model.inputs, layer.input)
        inputs = before.predict(values.astype(np.float32), batch_size=64, verbose=0)
        layer.moving_mean.assign(inputs.mean(axis=0))
        layer.moving_variance.assign(inputs.var(axis=0))


def _boundary(found: _Set, depth: int) -> NDArray[np.float32]:
    """The held-out images at the boundary of a depth."""
    from search.bit.architecture import SMALL
    from search.boundary.trunk import frozen_trunk
    from search.final.inference import network_pixels

    trunk = frozen_trunk(SMALL, found.weights, [depth], image_size=IMAGE_SIZE)
    (values,) = trunk(network_pixels(found.held_out))
    return np.asarray(values, np.float32)


def _worth(found: _Set, inner: list[Any], outer: list[Any]) -> dict[str, float]:
    from reports import softmax
    from reports.decisions.operating_points import threshold_at_specificity
    from reports.metrics.table import macro_ovr_auc

    labels, truth = found.data.labels, found.held_out_labels
    pooled = np.concatenate([softmax(logits)[:, -1] for logits in inner])
    positive = np.concatenate([labels[validation] == 2 for _, validation in found.data.folds])
    threshold = threshold_at_specificity(positive, pooled, 0.9)
    folds = zip(inner, found.data.folds, strict=True)
    return {
        "inner": float(np.mean([macro_ovr_auc(labels[rows], softmax(each)) for each, (_, rows) in folds])),
        "macro_auc": float(np.mean([macro_ovr_auc(truth, softmax(each)) for each in outer])),
        "log_loss": float(np.mean([log_loss(truth, each) for each in outer])),
        "specificity": float(np.mean([(softmax(each)[truth != 2, -1] < threshold).mean() for each in outer])),
    }


def log_loss(labels: NDArray[np.int64], logits: NDArray[np.floating]) -> float:
    """Mean −ln p(true class) of logits, in nats."""
    scores = logits - logits.max(axis=1, keepdims=True)
    return float((np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(labels)), labels]).mean())


def summary(rows: list[dict[str, Any]]) -> None:
    """What a search over each schedule, range and kind of weights would choose, and what that is worth."""
    seeds = sorted({row["seed"] for row in rows})
    print(f"\n{len(seeds)} sets; mean over the sets of what the best out-of-fold configuration is worth held out")
    heads = f"{'macro AUC':>9} {'log loss':>8} {'|spec-.9|':>9} {'swing':>6} {'rate':>7}"
    print(f"{'schedule':9} {'rate to':>7} {'weights':12} {heads}")
    for schedule, most, name in product(SCHEDULES, RATES[2:], VARIANTS):
        chosen = list(_chosen(rows, seeds, schedule, most, name))
        if not chosen:
            continue
        worth = {key: np.array([row[name][key] for row in chosen]) for key in ("macro_auc", "log_loss", "specificity")}
        swing, rate = (np.median([row[key] for row in chosen]) for key in ("swing", "rate"))
        print(
            f"{schedule:9} {most:7g} {name:12} {worth['macro_auc'].mean():9.4f} {worth['log_loss'].mean():8.4f} "
            f"{np.abs(worth['specificity'] - 0.9).mean():9.3f} {swing:6.2f} {rate:7g}"
        )


def _chosen(
    rows: list[dict[str, Any]], seeds: list[int], schedule: str, most: float, name: str
) -> Iterator[dict[str, Any]]:
    for seed in seeds:
        among = [
            row
            for row in rows
            if (row["seed"], row["schedule"]) == (seed, schedule) and row["rate"] <= most and name in row
        ]
        if among:
            yield max(among, key=lambda row: row[name]["inner"])


if __name__ == "__main__":
    main()
