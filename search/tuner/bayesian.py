"""Bayesian search: KerasTuner's Gaussian process, which tries known configurations first and learns from failures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Literal

import keras_tuner

from search.plan.execution import Assignment
from search.plan.space import DRAWS_BEFORE_EXHAUSTED, Configuration
from search.tuner.oracle import SearchOracle


class BayesianOracle(SearchOracle, keras_tuner.oracles.BayesianOptimizationOracle):
    """KerasTuner's Gaussian process over the same space; no promotions.

    Args:
        max_trials: Number of trials.
        epochs: Epochs of every trial.
        known: Configurations to try first; those outside the space tell the Gaussian process nothing.
        options: `SearchOracle`'s.
    """

    def __init__(self, *, max_trials: int, epochs: int, known: Sequence[Configuration] = (), **options: Any) -> None:
        super().__init__(max_trials=max_trials, **options)
        # KerasTuner's 20 would call a space exhausted of which a tenth is left.
        self._max_collisions = DRAWS_BEFORE_EXHAUSTED
        self._epochs = epochs
        self._known = tuple(dict.fromkeys(known))

    def coming(self) -> Assignment | Literal["wait", "done"]:
        """A configuration of its own, trained at once to the full budget; each is proposed after all before it."""
        number = len(self.trials)
        if self.ongoing_trials:
            return "wait"
        if number >= self.max_trials:
            return "done"
        return Assignment(number, number, 0, 0, None, 0, self._epochs)

    def values_of(self, assignment: Assignment) -> dict[str, Any] | None:
        """What the Gaussian process proposes; None where a discrete space holds no other.

        It proposes the same point of a discrete space again as long as it thinks it the best; a random one that is new
        then takes its place.
        """
        if assignment.trial < len(self._known):
            return asdict(self._known[assignment.trial])
        with self._as_the_process_sees_them():
            values: dict[str, Any] | None = self.populate_space(f"{assignment.trial:04d}")["values"]
        return self._random_values() if values is not None and self._duplicate(values) else values

    @contextmanager
    def _as_the_process_sees_them(self) -> Iterator[None]:
        """While it proposes: failed trials are the worst of the completed ones, those outside the space are left out.

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
