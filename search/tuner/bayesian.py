"""KerasTuner's Gaussian process, with what every search here has: known configurations, a bound of time, an end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import keras_tuner

from search.plan.execution import Assignment, TimeBound
from search.plan.space import DRAWS_BEFORE_EXHAUSTED, Configuration
from search.trials.cross_validation import OBJECTIVE
from search.tuner.oracle import NEVER

_STOPPED = {"status": "STOPPED", "values": None}


class BayesianOracle(keras_tuner.oracles.BayesianOptimizationOracle):
    """KerasTuner's Gaussian process over the same space; no promotions.

    Args:
        hyperparameters: The declared space.
        max_trials: Number of runs.
        epochs: Epochs of every run.
        seed: Seed of the search.
        known: Configurations to try first; those outside the space tell the Gaussian process nothing.
        bound: When no further run is started.
    """

    trials: dict[str, Any]

    def __init__(
        self,
        *,
        hyperparameters: keras_tuner.HyperParameters,
        max_trials: int,
        epochs: int,
        seed: int,
        known: Sequence[Configuration] = (),
        bound: TimeBound | None = None,
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
        # KerasTuner's 20 would call a space exhausted of which a tenth is left.
        self._max_collisions = DRAWS_BEFORE_EXHAUSTED
        self._epochs = epochs
        self._known = tuple(dict.fromkeys(known))
        self.bound = bound or TimeBound()

    def assignment(self, trial: Any) -> Assignment:
        """A configuration of its own, trained at once to the full budget."""
        return Assignment(int(trial.trial_id), 0, 0, None, 0, self._epochs)

    def configuration_of(self, trial: Any) -> Configuration:
        """What the Gaussian process proposed."""
        return Configuration.from_values(trial.hyperparameters.values)

    @property
    def is_done(self) -> bool:
        """Whether all runs have been handed out; a discrete space may hold fewer."""
        return len(self.trials) >= self.max_trials

    @property
    def promotable(self) -> frozenset[int]:
        """None."""
        return frozenset()

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of the next run; STOPPED where the time is up or a discrete space holds no other.

        The Gaussian process proposes the same point of a discrete space again as long as it thinks it the best; a
        random one that is new then takes its place.
        """
        if self.bound.is_reached(len(self.trials)):
            return _STOPPED
        if int(trial_id) < len(self._known):
            return {"status": "RUNNING", "values": asdict(self._known[int(trial_id)])}
        with self._as_the_process_sees_them():
            proposed = super().populate_space(trial_id)
        if proposed["values"] is not None and self._duplicate(proposed["values"]):
            values = self._random_values()
            return _STOPPED if values is None else {"status": "RUNNING", "values": values}
        return proposed

    @contextmanager
    def _as_the_process_sees_them(self) -> Iterator[None]:
        """While it proposes: failed runs are the worst of the completed ones, runs outside the space are left out.

        KerasTuner leaves out failed ones, and the Gaussian process, none the wiser, would propose the same place again
        and again. A value that the space does not have has no place in it.
        """
        everything = self.trials
        scores = [trial.score for trial in everything.values() if trial.status == "COMPLETED"]
        failed = [trial for trial in everything.values() if trial.status == "FAILED"] if scores else []
        self.trials = {name: trial for name, trial in everything.items() if self._is_in_space(trial)}
        for trial in failed:
            trial.status, trial.score = "COMPLETED", min(scores)
        try:
            yield
        finally:
            self.trials = everything
            for trial in failed:
                trial.status, trial.score = "FAILED", None

    def _is_in_space(self, trial: Any) -> bool:
        for dimension in self.hyperparameters.space:
            value = trial.hyperparameters.values[dimension.name]
            match dimension:
                case keras_tuner.engine.hyperparameters.Fixed():
                    inside = value == dimension.value
                case keras_tuner.engine.hyperparameters.Choice():
                    inside = value in dimension.values
                case _:
                    inside = dimension.min_value <= value <= dimension.max_value
            if not inside:
                return False
        return True
