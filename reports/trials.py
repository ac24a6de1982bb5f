"""Trials: what is known of each, and the rule that names the winner.

A trial is one line of trials.jsonl: one configuration, trained from one rung's epoch count to the next one's.

Rule: only completed trials that reached the search's largest epoch count are compared, for an objective at epoch 4 and
one at epoch 30 are different quantities. The objective is of the weights at a trial's last epoch. The largest objective
wins; of two equal ones the lower number. Where no trial completed at the full budget, those of the next lower epoch
count are compared.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from reports.errors import ReportError

OBJECTIVE_CURVE = "val_macro_auc"
Hyperparameter = int | float | str


@dataclass(frozen=True)
class TrialRecord:
    """One trial: one configuration trained from one rung's epoch count to the next one's.

    Attributes:
        trial: Number, from 0: its place in the plan, those that replace failed ones behind all planned ones; also
            KerasTuner's trial id.
        configuration: Number of the hyperparameter configuration, from 0; trials of a promotion share it.
        bracket: Hyperband bracket (its number of promotions); brackets run largest first.
        rung: Rung in the bracket, from 0.
        parent: The trial that this one continues, or None in rung 0.
        initial_epoch: Epochs already trained by the parent.
        epochs: Epochs trained when this trial ends.
        hyperparameters: The five values (and whatever else the space holds), by name.
        status: "completed" or "failed".
        objective: The mean fold curve of the objective at ``objective_epoch``, or None where it failed. A trial whose
            objective is not defined has failed.
        best_epoch: Epoch of the mean curve's maximum, from 1, one for all folds; or None. A diagnosis: far before the
            end, training went on for too long.
        curves: Metric name to values [fold][epoch], from epoch 1 (the parent's epochs included).
            Names: "loss", "val_loss", "val_macro_auc", "val_balanced_accuracy".
        started: Start time, ISO 8601 with time zone.
        seconds: Wall time of the trial.
        overhead_seconds: The part of it that was neither training nor validation arithmetic nor ``build_seconds``.
        build_seconds: The part of it that went into building the network and making its graphs, which later trials of
            the same shape share. Two records that differ in nothing else are equal.
        error: One line, where it failed.
        diverged_epoch: Epoch in which the loss or the logits were not finite, from 1; None where nothing diverged. A
            trial that diverged has failed, has no objective and ranks behind every trial that has one.
        attempt: How often failures in a row had stopped the search before; a trial of such a row is tried again under
            its number, as part of the next attempt.
        scored_epoch: Epoch that the objective is of; None: the last one. Runs before results version 2 took the best.
        backbone_learning_rate: Peak learning rate of the unfrozen backbone; None where nothing is unfrozen, or where an
            older version has not written it down.
    """

    trial: int
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
    attempt: int = field(default=0, compare=False)
    scored_epoch: int | None = None
    backbone_learning_rate: float | None = None

    @property
    def objective_epoch(self) -> int:
        """Epoch that the objective is of."""
        return self.scored_epoch or self.epochs


def ranked(records: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """The completed trials of the largest epoch count that any trial completed, best first.

    Args:
        records: Trials in any order.

    Returns:
        The trials that can be compared with the winner; empty where none completed.
    """
    completed = [record for record in records if record.status == "completed" and record.objective is not None]
    if not completed:
        return ()
    budget = max(record.epochs for record in completed)
    return tuple(best_first(record for record in completed if record.epochs == budget))


def ranks(records: Sequence[TrialRecord]) -> dict[int, int]:
    """Place of each trial of `ranked`, from 1, by its number."""
    return {record.trial: place for place, record in enumerate(ranked(records), start=1)}


def best_first(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """All trials; those of one epoch count together, the largest first, the best first in them, failed ones last."""
    return sorted(records, key=standing)


def standing(record: TrialRecord) -> tuple[bool, int, float, int]:
    """The key of this order, which every table of trials has."""
    return record.objective is None, -record.epochs, -(record.objective or 0.0), record.trial


def best_trial(records: Sequence[TrialRecord]) -> TrialRecord:
    """The winner by the module's rule.

    Args:
        records: Trials in any order.

    Returns:
        The trial whose configuration is retrained.

    Raises:
        ReportError: If no trial completed.
    """
    finalists = ranked(records)
    if not finalists:
        errors = [record.error for record in records if record.error]
        raise ReportError(
            expected="at least one completed trial",
            found=f"{len(records)} trials, none completed" + (f" (first error: {errors[0]})" if errors else ""),
            remedy="Look into the run's log.txt, mend the cause and resume the search.",
        )
    return finalists[0]


def fold_objectives(record: TrialRecord) -> tuple[float, ...]:
    """The objective of each fold at the epoch that the trial is scored by; empty where the trial has no score."""
    curve, epoch = record.curves.get(OBJECTIVE_CURVE, ()), record.objective_epoch
    if record.objective is None:
        return ()
    return tuple(fold[epoch - 1] for fold in curve if len(fold) >= epoch)


def objective_sd(record: TrialRecord) -> float | None:
    """Standard deviation of the objective over the folds (ddof 1) at that epoch; None for fewer than two folds."""
    folds = fold_objectives(record)
    return statistics.stdev(folds) if len(folds) > 1 and all(map(math.isfinite, folds)) else None
