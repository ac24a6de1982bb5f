"""The oracles that a search can be driven by, and what the tuner asks of each.

``PlannedOracle`` (Hyperband, or random search as a plan without promotions) is this project's; ``BayesianOracle`` is
KerasTuner's own, every run at the full budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import keras_tuner

from reports.trial_record import TrialRecord
from search.cross_validation import OBJECTIVE
from search.errors import RunError
from search.oracle import NEVER, PlannedOracle, assignment_values
from search.plan_execution import Assignment
from search.space import Configuration


class SearchOracle(Protocol):
    """What the tuner needs beside KerasTuner's own interface."""

    verbose: int

    def assignment(self, trial: Any) -> Assignment:
        """Which configuration a trial trains, from whose state, over which epochs."""

    def configuration_of(self, trial: Any) -> Configuration:
        """Its configuration."""

    @property
    def promotable(self) -> frozenset[int]:
        """Runs whose state a later run may go on from."""


class BayesianOracle(keras_tuner.oracles.BayesianOptimizationOracle):
    """KerasTuner's Gaussian process over the same space; no promotions.

    Args:
        hyperparameters: The declared space.
        max_trials: Number of runs.
        epochs: Epochs of every run.
        seed: Seed of the search.
    """

    def __init__(
        self, *, hyperparameters: keras_tuner.HyperParameters, max_trials: int, epochs: int, seed: int
    ) -> None:
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, direction="max"),
            max_trials=max_trials,
            hyperparameters=hyperparameters,
            allow_new_entries=False,
            tune_new_entries=False,
            # KerasTuner takes 0 for "draw one".
            seed=seed + 1,
            max_consecutive_failed_trials=NEVER,
        )
        self._epochs = epochs

    def assignment(self, trial: Any) -> Assignment:
        """A configuration of its own, trained at once to the full budget."""
        return Assignment(int(trial.trial_id), 0, 0, None, 0, self._epochs)

    def configuration_of(self, trial: Any) -> Configuration:
        """What the Gaussian process proposed."""
        return Configuration.from_values(trial.hyperparameters.values)

    @property
    def promotable(self) -> frozenset[int]:
        """None."""
        return frozenset()

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of the next run.

        A failed run counts as the worst of the completed ones: KerasTuner leaves it out, and the Gaussian process, none
        the wiser, would propose the same place again and again.
        """
        completed = (trial for trial in self.trials.values() if trial.status == "COMPLETED")
        scores = [trial.score for trial in completed if trial.score is not None]
        failed = [trial for trial in self.trials.values() if trial.status == "FAILED"] if scores else []
        for trial in failed:
            trial.status, trial.score = "COMPLETED", min(scores)
        try:
            return super().populate_space(trial_id)
        finally:
            for trial in failed:
                trial.status, trial.score = "FAILED", None


def restore_trials(oracle: keras_tuner.Oracle, finished: Sequence[TrialRecord]) -> None:
    """Put the runs of an earlier part of a search into a fresh oracle, as if it had carried them out.

    The oracle is asked for each of them again: one that draws as it goes is then where it was.

    Args:
        oracle: Without trials, its project folder set.
        finished: The runs, in their order.

    Raises:
        RunError: If a plan has another run in the place of one of them.
    """
    for record in finished:
        trial_id, assignment = f"{record.run:04d}", record_assignment(record)
        hyperparameters = oracle.get_space()
        hyperparameters.values = {**record.hyperparameters, **assignment_values(assignment)}
        proposed = _asked_again(oracle, trial_id)
        if isinstance(oracle, PlannedOracle) and proposed["values"] != hyperparameters.values:
            raise RunError(
                expected="finished runs that the plan of this search has",
                found=f"another one in trials.jsonl as run {record.run}",
                remedy="Restore the file, or search again with --fresh.",
            )
        trial = keras_tuner.engine.trial.Trial(
            hyperparameters=hyperparameters,
            trial_id=trial_id,
            status="COMPLETED" if record.status == "completed" else "FAILED",
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
    oracle.save()


def _asked_again(oracle: keras_tuner.Oracle, trial_id: str) -> dict[str, Any]:
    if not isinstance(oracle, PlannedOracle):
        return oracle.populate_space(trial_id)
    deadline, oracle.deadline = oracle.deadline, None
    try:
        return oracle.populate_space(trial_id)
    finally:
        oracle.deadline = deadline


def record_assignment(record: TrialRecord) -> Assignment:
    """The assignment that a run carried out."""
    return Assignment(
        record.configuration, record.bracket, record.rung, record.parent, record.initial_epoch, record.epochs
    )
