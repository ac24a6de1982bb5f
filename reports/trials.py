"""The trial table: one row a run, and the rule that names the winner.

Columns, in this order:

    run, configuration, bracket, rung    int64
    parent                               Int64, missing in rung 0
    initial_epoch, epochs                int64
    status                               "completed" or "failed"
    objective                            float64, NaN where failed; mean over the folds at the best epoch
    objective_sd                         float64, standard deviation over the folds (ddof 1) at the best epoch; NaN
                                         for fewer than two folds
    best_epoch                           Int64, missing where failed
    rank                                 Int64, 1 = winner, among the runs that reached the full budget; missing else
    started, seconds, overhead_seconds   ISO 8601 text, float64, float64
    error                                text, "" where completed
    hyperparameters.<name>               one column each, sorted by name

Rule: only completed runs that reached the search's largest epoch count are compared, for an objective at epoch 4 and
one at epoch 30 are different quantities. The largest objective wins; of two equal ones the lower run number. Where no
run completed at the full budget, the runs of the next lower epoch count are compared.

TrialRecord: what is known of one run of the search, and the row of every trial table.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from reports.errors import ReportError

if TYPE_CHECKING:
    import pandas as pd


OBJECTIVE_CURVE = "val_macro_auc"
HYPERPARAMETER_PREFIX = "hyperparameters."
Hyperparameter = int | float | str


def ranked(records: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """The completed runs of the largest epoch count that any run completed, best first.

    Args:
        records: Runs in any order.

    Returns:
        The runs that can be compared with the winner; empty where none completed.
    """
    completed = [record for record in records if record.status == "completed" and record.objective is not None]
    if not completed:
        return ()
    budget = max(record.epochs for record in completed)
    finalists = [record for record in completed if record.epochs == budget]
    return tuple(sorted(finalists, key=lambda record: (-(record.objective or 0.0), record.trial)))


def best_run(records: Sequence[TrialRecord]) -> TrialRecord:
    """The winner by the module's rule.

    Args:
        records: Runs in any order.

    Returns:
        The run whose configuration is retrained.

    Raises:
        ReportError: If no run completed.
    """
    finalists = ranked(records)
    if not finalists:
        errors = [record.error for record in records if record.error]
        raise ReportError(
            expected="at least one completed run",
            found=f"{len(records)} runs, none completed" + (f" (first error: {errors[0]})" if errors else ""),
            remedy="Look into the run's log.txt, mend the cause and resume the search.",
        )
    return finalists[0]


def fold_objectives(record: TrialRecord) -> tuple[float, ...]:
    """The objective of each fold at the run's best epoch; empty where the run has none."""
    curve = record.curves.get(OBJECTIVE_CURVE, ())
    if record.best_epoch is None:
        return ()
    return tuple(fold[record.best_epoch - 1] for fold in curve if len(fold) >= record.best_epoch)


def trial_table(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """All runs as a data frame with the columns of the module's docstring, in run order.

    Args:
        records: Runs in any order.

    Returns:
        One row a run.
    """
    import pandas as pd

    ordered = sorted(records, key=lambda record: record.trial)
    rank = {record.trial: position for position, record in enumerate(ranked(ordered), start=1)}
    names = sorted({name for record in ordered for name in record.hyperparameters})
    rows = []
    for record in ordered:
        folds = fold_objectives(record)
        rows.append(
            {
                "run": record.trial,
                "configuration": record.configuration,
                "bracket": record.bracket,
                "rung": record.rung,
                "parent": record.parent,
                "initial_epoch": record.initial_epoch,
                "epochs": record.epochs,
                "status": record.status,
                "objective": record.objective,
                "objective_sd": statistics.stdev(folds) if len(folds) > 1 else None,
                "best_epoch": record.best_epoch,
                "rank": rank.get(record.trial),
                "started": record.started,
                "seconds": record.seconds,
                "overhead_seconds": record.overhead_seconds,
                "error": record.error or "",
            }
            | {HYPERPARAMETER_PREFIX + name: record.hyperparameters.get(name) for name in names}
        )
    types = (
        dict.fromkeys(("run", "configuration", "bracket", "rung", "initial_epoch", "epochs"), "int64")
        | dict.fromkeys(("parent", "best_epoch", "rank"), "Int64")
        | dict.fromkeys(("objective", "objective_sd", "seconds", "overhead_seconds"), "float64")
    )
    columns = [*_LEADING, *(HYPERPARAMETER_PREFIX + name for name in names)]
    return pd.DataFrame(rows, columns=columns).astype(types)


_LEADING = (
    "run",
    "configuration",
    "bracket",
    "rung",
    "parent",
    "initial_epoch",
    "epochs",
    "status",
    "objective",
    "objective_sd",
    "best_epoch",
    "rank",
    "started",
    "seconds",
    "overhead_seconds",
    "error",
)


@dataclass(frozen=True)
class TrialRecord:
    """One run: one configuration trained from one rung's epoch count to the next one's.

    Attributes:
        trial: Number, from 0: its place in the plan, those that replace failed ones behind all planned ones; also
            KerasTuner's trial id.
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
        attempt: How often failures in a row had stopped the search before; a trial of such a row is tried again under
            its number, as part of the next attempt.
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
