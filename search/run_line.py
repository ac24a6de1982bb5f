"""A run as short text."""

from __future__ import annotations

import statistics

from reports.trial_record import TrialRecord
from reports.trials import fold_objectives


def run_line(record: TrialRecord, runs: int) -> str:
    """One finished run as a line of text.

    Args:
        record: The run.
        runs: How many the plan has.
    """
    values = record.hyperparameters
    result = f"failed: {record.error}" if record.status == "failed" else f"AUC {objective_text(record)}"
    width = len(str(runs))
    return (
        f"run {record.run:>{width}}  {record.run + 1:>{width}}/{runs}  bracket {record.bracket} rung {record.rung}  "
        f"epochs {record.initial_epoch:>2}→{record.epochs:<2}  {result}  depth {values['unfreeze_depth']}  "
        f"width {values['head_width']:<4}  dropout {values['dropout']:<5.3g}  l2 {values['l2']:<8.2g}  "
        f"lr {values['learning_rate']:<8.2g}  {record.seconds:6.1f} s"
    )


def objective_text(record: TrialRecord) -> str:
    """The objective with the standard deviation over the folds, of constant width."""
    if record.objective is None:
        return f"{'n/a':13}"
    return f"{record.objective:.3f}{spread_text(record):8}"


def spread_text(record: TrialRecord) -> str:
    """The standard deviation over the folds, "" where there is none."""
    folds = [value for value in fold_objectives(record) if value == value]
    return f" ± {statistics.stdev(folds):.3f}" if len(folds) > 1 else ""
