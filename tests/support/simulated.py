"""Simulated tables for the tests of the reports: no model, no image, only numbers with a seed."""

from __future__ import annotations

import numpy as np

from reports.predictions import Predictions
from reports.search_plots.space import Dimension
from reports.trials import TrialRecord

CLASS_NAMES = ("normal", "benign", "malignant")


def simulated_predictions(
    *, patients: int = 40, seed: int = 0, separation: float = 1.2, shares: tuple[float, ...] = (0.6, 0.2, 0.2)
) -> Predictions:
    """Two images a patient, of one label each, with logits that share a patient effect."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(len(shares), p=shares, size=2 * patients)
    labels[: len(shares)] = np.arange(len(shares))
    logits = rng.normal(size=(2 * patients, len(shares))) + np.repeat(
        rng.normal(scale=0.7, size=(patients, len(shares))), 2, axis=0
    )
    logits[np.arange(2 * patients), labels] += separation
    exponentials = np.exp(logits)
    return Predictions(
        image_ids=tuple(f"mdb{number + 1:03d}" for number in range(2 * patients)),
        patient_ids=tuple(f"p{number // 2 + 1:03d}" for number in range(2 * patients)),
        labels=labels.astype(np.int64),
        probabilities=exponentials / exponentials.sum(axis=1, keepdims=True),
        class_names=CLASS_NAMES[: len(shares)],
    )


PLAN = (
    # bracket, rung, configurations, epochs before, epochs after: 38 runs, 28 configurations, 420 epochs
    (2, 0, 15, 0, 4),
    (2, 1, 5, 4, 10),
    (2, 2, 2, 10, 30),
    (1, 0, 8, 0, 10),
    (1, 1, 3, 10, 30),
    (0, 0, 5, 0, 30),
)

SPACE = (
    Dimension("unfreeze_depth", 0, 3, choices=(0, 1, 2, 3)),
    Dimension.of_choices("dense_width", (64, 128, 256, 512, 1024)),
    Dimension("learning_rate", 1e-4, 1e-1, log=True),
    Dimension("l2", 1e-6, 1e-2, log=True),
    Dimension("dropout", 0.0, 0.6),
)


def simulated_trials(*, folds: int = 5, seed: int = 0, failed: tuple[int, ...] = (7,)) -> tuple[TrialRecord, ...]:
    """The records of a whole Hyperband search: 38 runs, one of them failed unless told otherwise."""
    rng = np.random.default_rng(seed)
    records: list[TrialRecord] = []
    configurations = 0
    previous: list[TrialRecord] = []
    for bracket, rung, size, before, after in PLAN:
        parents: list[TrialRecord | None]
        if rung == 0:
            parents = [None] * size
        else:
            ranked = sorted((r for r in previous if r.objective is not None), key=lambda r: -(r.objective or 0))
            parents = list(ranked[:size])
        previous = []
        for parent in parents:
            run = len(records)
            if parent is None:
                hyperparameters: dict[str, int | float | str] = {
                    "dense_width": int(rng.choice([64, 128, 256, 512, 1024])),
                    "dropout": round(float(rng.uniform(0, 0.6)), 3),
                    "l2": float(10 ** rng.uniform(-6, -2)),
                    "learning_rate": float(10 ** rng.uniform(-4, -1)),
                    "unfreeze_depth": int(rng.choice([0, 1, 2, 3])),
                }
                configuration, configurations = configurations, configurations + 1
                ceiling = rng.uniform(0.55, 0.78, size=(folds, 1)) - 0.05
            else:
                hyperparameters, configuration = parent.hyperparameters, parent.configuration
                ceiling = np.array([fold[-1] for fold in parent.curves["val_macro_auc"]])[:, None] + 0.02
            epoch = np.arange(1, after + 1)
            auc = 0.5 + (ceiling - 0.5) * (1 - np.exp(-epoch / 5)) + rng.normal(scale=0.008, size=(folds, after))
            loss = 0.75 + 0.5 * np.exp(-epoch / 6) + rng.normal(scale=0.01, size=(folds, after))
            val_loss = 0.9 + 0.25 * np.exp(-epoch / 4) + 0.004 * epoch + rng.normal(scale=0.02, size=(folds, after))
            broken = run in failed
            mean = auc.mean(axis=0)
            record = TrialRecord(
                trial=run,
                configuration=configuration,
                bracket=bracket,
                rung=rung,
                parent=None if parent is None else parent.trial,
                initial_epoch=before,
                epochs=after,
                hyperparameters=hyperparameters,
                status="failed" if broken else "completed",
                objective=None if broken else float(mean[-1]),
                best_epoch=None if broken else int(mean.argmax()) + 1,
                curves={}
                if broken
                else {
                    name: tuple(tuple(float(v) for v in fold) for fold in curve)
                    for name, curve in (
                        ("loss", loss),
                        ("val_loss", val_loss),
                        ("val_macro_auc", auc),
                        ("val_balanced_accuracy", 1 / 3 + (auc - 0.5) * 0.8),
                    )
                },
                started=f"2030-01-01T12:{run:02d}:00+00:00",
                seconds=float(rng.uniform(4, 60)),
                overhead_seconds=float(rng.uniform(0.1, 0.5)),
                error="the loss was not finite in fold 2, epoch 3" if broken else None,
            )
            records.append(record)
            previous.append(record)
    return tuple(records)
