"""TrialRecord: what is known of one run of the search, and the row of every trial table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Hyperparameter = int | float | str


@dataclass(frozen=True)
class TrialRecord:
    """One run: one configuration trained from one rung's epoch count to the next one's.

    Attributes:
        run: Number in the order of the plan, from 0; also KerasTuner's trial id.
        configuration: Number of the hyperparameter configuration, from 0; runs of a promotion share it.
        bracket: Hyperband bracket (its number of promotions); brackets run largest first.
        rung: Rung in the bracket, from 0.
        parent: The run that this one continues, or None in rung 0.
        initial_epoch: Epochs already trained by the parent.
        epochs: Epochs trained when this run ends.
        hyperparameters: The five values (and whatever else the space holds), by name.
        status: "completed" or "failed".
        objective: Maximum over the epochs of the mean fold curve of the objective, or None where it failed. A run whose
            objective is defined in no epoch has failed.
        best_epoch: Epoch of that maximum, from 1, one for all folds; or None.
        curves: Metric name to values [fold][epoch], from epoch 1 (the parent's epochs included).
            Names: "loss", "val_loss", "val_macro_auc", "val_balanced_accuracy".
        started: Start time, ISO 8601 with time zone.
        seconds: Wall time of the run.
        overhead_seconds: The part of it that was neither training nor validation arithmetic nor ``build_seconds``.
        build_seconds: The part of it that went into building the network and making its graphs, which later runs of the
            same shape share. Two records that differ in nothing else are equal.
        error: One line, where it failed.
        diverged_epoch: Epoch in which the loss or the logits were not finite, from 1; None where nothing diverged. A
            run that diverged has failed, has no objective and ranks behind every run that has one.
    """

    run: int
    configuration: int
    bracket: int
    rung: int
    parent: int | None
    initial_epoch: int
    epochs: int
    hyperparameters: dict[str, Hyperparameter]
    status: Literal["completed", "failed"]
    objective: float | None
    best_epoch: int | None
    curves: dict[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    started: str = ""
    seconds: float = 0.0
    overhead_seconds: float = 0.0
    build_seconds: float = field(default=0.0, compare=False)
    error: str | None = None
    diverged_epoch: int | None = None
