"""KerasTuner's oracle, carrying out a plan instead of deciding as it goes.

The oracle holds no state of its own beside KerasTuner's trials: which run comes next follows from the plan and the
trials (``plan_execution``).

What the tuner asks of an oracle, and how an oracle is brought to where an earlier part of a search has left it.

``PlannedOracle`` carries out Hyperband, or random search as a plan without promotions; ``BayesianOracle`` is
KerasTuner's own Gaussian process, every run at the full budget.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal, Protocol

import keras_tuner

from reports.trials import TrialRecord
from search.errors import RunError
from search.plan.execution import Assignment, RunState, TimeBound, next_assignment, promotable_runs
from search.plan.hyperband import HyperbandPlan
from search.plan.space import Configuration
from search.trials.cross_validation import OBJECTIVE

NEVER = 2**31
"""The tuner counts failures in a row itself; KerasTuner would count diverged runs, and those before a resumption."""
_BARRIER_POLL_SECONDS = 0.05
_STATUS: dict[str, Literal["running", "completed", "failed"]] = {
    "RUNNING": "running",
    "COMPLETED": "completed",
    "FAILED": "failed",
    "INVALID": "failed",
}


class PlannedOracle(keras_tuner.Oracle):
    """Hands out the runs of a plan.

    Args:
        plan: The plan.
        configurations: The drawn configurations, spares at the end.
        hyperparameters: The declared space.
        seed: Seed of the search; nothing is drawn here, it is only recorded.
        bound: When no further run is started.
    """

    def __init__(
        self,
        plan: HyperbandPlan,
        configurations: Sequence[Configuration],
        *,
        hyperparameters: keras_tuner.HyperParameters,
        seed: int,
        bound: TimeBound | None = None,
    ) -> None:
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, direction="max"),
            hyperparameters=hyperparameters,
            allow_new_entries=False,
            tune_new_entries=False,
            # KerasTuner takes 0 for "draw one".
            seed=seed + 1,
            max_consecutive_failed_trials=NEVER,
        )
        self.plan = plan
        self.configurations = tuple(configurations)
        self.bound = bound or TimeBound()

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of the next run, IDLE at a barrier, STOPPED at the end of the plan."""
        coming = self._coming()
        if coming == "done" or self.bound.is_reached(len(self.trials)):
            return {"status": "STOPPED", "values": None}
        if not isinstance(coming, Assignment):
            # KerasTuner's loop asks again at once, which would keep a core busy.
            time.sleep(_BARRIER_POLL_SECONDS)
            return {"status": "IDLE", "values": None}
        values = {**asdict(self.configurations[coming.configuration]), **assignment_values(coming)}
        return {"status": "RUNNING", "values": values}

    @property
    def is_done(self) -> bool:
        """Whether the plan has been carried out."""
        return self._coming() == "done"

    def _coming(self) -> Assignment | Literal["wait", "done"]:
        return next_assignment(self.plan, self.history, drawn=len(self.configurations))

    @property
    def history(self) -> list[RunState]:
        """All runs started so far, in the order of their numbers."""
        return [
            RunState(
                run=int(trial_id),
                configuration=trial.hyperparameters.values["tuner/configuration"],
                bracket=trial.hyperparameters.values["tuner/bracket"],
                rung=trial.hyperparameters.values["tuner/round"],
                status=_STATUS[trial.status],
                objective=trial.score,
            )
            for trial_id, trial in sorted(self.trials.items(), key=lambda item: int(item[0]))
        ]

    @property
    def promotable(self) -> frozenset[int]:
        """Runs that can still be promoted."""
        return promotable_runs(self.plan, self.history, drawn=len(self.configurations))

    def assignment(self, trial: Any) -> Assignment:
        """The assignment that a trial carries in its values."""
        values = trial.hyperparameters.values
        parent = values.get("tuner/trial_id")
        return Assignment(
            configuration=values["tuner/configuration"],
            bracket=values["tuner/bracket"],
            rung=values["tuner/round"],
            parent=None if parent is None else int(parent),
            initial_epoch=values["tuner/initial_epoch"],
            epochs=values["tuner/epochs"],
        )

    def configuration_of(self, trial: Any) -> Configuration:
        """The configuration of a trial."""
        return self.configurations[trial.hyperparameters.values["tuner/configuration"]]


def assignment_values(assignment: Assignment) -> dict[str, Any]:
    """An assignment as values of a trial, by the names that KerasTuner's Hyperband uses where it has them."""
    values: dict[str, Any] = {
        "tuner/configuration": assignment.configuration,
        "tuner/bracket": assignment.bracket,
        "tuner/round": assignment.rung,
        "tuner/initial_epoch": assignment.initial_epoch,
        "tuner/epochs": assignment.epochs,
    }
    if assignment.parent is not None:
        values["tuner/trial_id"] = f"{assignment.parent:04d}"
    return values


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
    def is_done(self) -> bool:
        """Whether all that was planned has been handed out, whatever the time."""

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
