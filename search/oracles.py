"""What the tuner asks of an oracle, and how an oracle is brought to where an earlier part of a search has left it.

``PlannedOracle`` carries out Hyperband, or random search as a plan without promotions; ``BayesianOracle`` is
KerasTuner's own Gaussian process, every run at the full budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import keras_tuner

from reports.trial_record import TrialRecord
from search.errors import RunError
from search.plan.execution import Assignment
from search.plan.space import Configuration
from search.time_bound import TimeBound
from search.trials.cross_validation import OBJECTIVE
from search.tuner.oracle import PlannedOracle, assignment_values


class SearchOracle(Protocol):
    """What the tuner needs beside KerasTuner's own interface."""

    verbose: int
    bound: TimeBound

    def save(self) -> None:
        """Write KerasTuner's own state."""

    def assignment(self, trial: Any) -> Assignment:
        """Which configuration a trial trains, from whose state, over which epochs."""

    def configuration_of(self, trial: Any) -> Configuration:
        """Its configuration."""

    @property
    def promotable(self) -> frozenset[int]:
        """Runs whose state a later run may go on from."""


def restore_trials(oracle: SearchOracle, finished: Sequence[TrialRecord]) -> None:
    """Put the runs of an earlier part of a search into a fresh oracle, as if it had carried them out.

    The oracle is asked for each of them again: one that draws as it goes is then where it was.

    Args:
        oracle: Without trials, its project folder set.
        finished: The runs, in their order.

    Raises:
        RunError: If a plan has another run in the place of one of them.
    """
    # What has been carried out is asked for whatever the time.
    bound, oracle.bound = oracle.bound, TimeBound()
    try:
        for record in finished:
            _restore_trial(oracle, record)
    finally:
        oracle.bound = bound
    oracle.save()


def _restore_trial(oracle: Any, record: TrialRecord) -> None:
    trial_id = f"{record.run:04d}"
    hyperparameters = oracle.get_space()
    hyperparameters.values = dict(record.hyperparameters)
    if isinstance(oracle, PlannedOracle):
        hyperparameters.values |= assignment_values(record_assignment(record))
    proposed = oracle.populate_space(trial_id)
    if isinstance(oracle, PlannedOracle) and proposed["values"] != hyperparameters.values:
        raise RunError(
            expected="finished runs that the plan of this search has",
            found=f"another one in trials.jsonl as run {record.run}",
            remedy="Restore the file, or search again with --fresh.",
        )
    # Earlier versions recorded a run whose objective is not defined as completed; to KerasTuner it had failed.
    has_score = record.status == "completed" and record.objective is not None
    trial = keras_tuner.engine.trial.Trial(
        hyperparameters=hyperparameters, trial_id=trial_id, status="COMPLETED" if has_score else "FAILED"
    )
    trial.score, trial.best_step, trial.message = record.objective, record.best_epoch or 0, record.error
    if record.objective is not None:
        trial.metrics.register(OBJECTIVE, direction="max")
        trial.metrics.update(OBJECTIVE, record.objective, step=trial.best_step)
    oracle.trials[trial.trial_id] = trial
    oracle.start_order.append(trial.trial_id)
    oracle.end_order.append(trial.trial_id)
    oracle._record_values(trial)
    oracle._save_trial(trial)


def record_assignment(record: TrialRecord) -> Assignment:
    """The assignment that a run carried out."""
    return Assignment(
        record.configuration, record.bracket, record.rung, record.parent, record.initial_epoch, record.epochs
    )
