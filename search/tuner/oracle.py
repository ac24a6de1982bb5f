"""Oracles: which trial is next, in KerasTuner's terms, and how a search gets back to where it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any, Literal

import keras_tuner
import numpy as np

from reports.trials import OBJECTIVE_CURVE, TrialRecord
from search.errors import RunError
from search.plan.execution import (
    Assignment,
    TimeBound,
    TrialState,
    longest_way,
    next_assignment,
    next_in_bracket,
    promotable_trials,
)
from search.plan.hyperband import HyperbandPlan
from search.plan.space import Configuration

_NEVER = 2**31


class SearchOracle(keras_tuner.Oracle):
    """What every oracle of a search has beside KerasTuner's: numbers by the plan, a bound of time, a way back.

    Args:
        hyperparameters: The declared space.
        seed: Seed of the search.
        bound: When no further trial is started.
        options: KerasTuner's own.

    Attributes:
        assignments: What each trial that was started trains, by its number.
    """

    trials: dict[str, Any]
    ongoing_trials: dict[str, Any]

    def __init__(
        self, *, hyperparameters: keras_tuner.HyperParameters, seed: int, bound: TimeBound | None = None, **options: Any
    ) -> None:
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE_CURVE, direction="max"),
            hyperparameters=hyperparameters,
            allow_new_entries=False,
            tune_new_entries=False,
            seed=seed + 1,  # KerasTuner takes 0 for "draw one"
            # The tuner counts failures in a row; KerasTuner would count diverged trials, and those before a resumption.
            max_consecutive_failed_trials=_NEVER,
            **options,
        )
        self.verbose = 0
        self.bound = bound or TimeBound()
        self.assignments: dict[int, Assignment] = {}
        self._next_save = 0

    def coming(self) -> Assignment | Literal["wait", "done"]:
        """The next trial to start whatever the time, "wait" while that depends on those in training, or "done"."""
        raise NotImplementedError

    def values_of(self, assignment: Assignment) -> dict[str, Any] | None:
        """The values that KerasTuner keeps of a trial; None where the space holds no others."""
        raise NotImplementedError

    def fits(self, record: TrialRecord) -> bool:
        """Whether this search, after the trials that it has, may have carried out the recorded one."""
        return True

    def next_to_write(self, written: Sequence[TrialRecord]) -> int | None:
        """Number of the trial that follows the written ones, whichever have ended; None at the end of the plan."""
        return len(written)

    def urgency(self, assignment: Assignment) -> float:
        """Seconds on the longest way that begins with a trial, as far as trials wait for others."""
        return 0.0

    @property
    def promotable(self) -> frozenset[int]:
        """Trials whose state a later one may go on from."""
        return frozenset()

    def create_trial(self, tuner_id: str) -> Any:
        """KerasTuner's trial for the next place of the plan, whose number it takes, not that of the order of starting.

        Args:
            tuner_id: Whoever carries it out; one that has a trial out is given that again.
        """
        if tuner_id in self.ongoing_trials:
            return self.ongoing_trials[tuner_id]
        coming = "done" if self.bound.is_reached(len(self.trials)) else self.coming()
        values = self.values_of(coming) if isinstance(coming, Assignment) else None
        if not isinstance(coming, Assignment) or values is None:
            status = "IDLE" if coming == "wait" else "STOPPED"
            return keras_tuner.engine.trial.Trial(hyperparameters=self.get_space(), status=status)
        trial = self._started(coming, values)
        self.ongoing_trials[tuner_id] = trial
        self.save()
        return trial

    def end(self, trial: Any, record: TrialRecord) -> None:
        """Tell KerasTuner how a trial has ended, by what is recorded of it."""
        if record.status == "completed" and record.objective is not None:
            step = record.objective_epoch
            metrics = {
                name: float(np.nanmean([fold[step - 1] for fold in folds])) for name, folds in record.curves.items()
            }
            self.update_trial(trial.trial_id, {**metrics, OBJECTIVE_CURVE: record.objective}, step=step)
            trial.status = "COMPLETED"
        else:
            trial.status, trial.message = "FAILED", record.error
        self.end_trial(trial)

    def restore(self, finished: Sequence[TrialRecord]) -> None:
        """Put the trials of an earlier part of a search into a fresh oracle, as if it had carried them out.

        The oracle is asked for each of them again: one that draws as it goes is then where it was.

        Args:
            finished: The trials, as trials.jsonl has them; the project folder is set.

        Raises:
            RunError: If a plan has another trial in the place of one of them.
        """
        for record in finished:
            if not self.fits(record):
                raise RunError(
                    expected="finished trials that the plan of this search has",
                    found=f"another one in trials.jsonl as trial {record.trial}",
                    remedy="Restore the file, or search again with --fresh.",
                )
            assignment = record_assignment(record)
            self.end(self._started(assignment, (self.values_of(assignment) or {}) | record.hyperparameters), record)

    def save(self, *, whole: bool = False) -> None:
        """Write oracle.json, which holds all trials: whenever their number has grown by a thirty-second.

        KerasTuner writes it three times a trial, which after thousands is most of what a small one costs. Nobody goes
        on from it: `restore` makes it anew.

        Args:
            whole: Write it now.
        """
        if whole or len(self.trials) >= self._next_save:
            super().save()
            self._next_save = len(self.trials) * 33 // 32

    def _started(self, assignment: Assignment, values: dict[str, Any]) -> Any:
        hyperparameters = self.get_space()
        hyperparameters.values = values
        trial = keras_tuner.engine.trial.Trial(
            hyperparameters=hyperparameters, trial_id=f"{assignment.trial:04d}", status="RUNNING"
        )
        self.assignments[assignment.trial] = assignment
        self.trials[trial.trial_id] = trial
        self.start_order.append(trial.trial_id)
        self._record_values(trial)
        self._save_trial(trial)
        return trial


class PlannedOracle(SearchOracle):
    """Hyperband as a plan, or random search as one without promotions: which trial is next follows from the history.

    Args:
        plan: The plan.
        configurations: The drawn configurations, spares at the end.
        epoch_seconds: Unfreeze depth to what an epoch is believed to take. Where given, several workers are to be kept
            at work: brackets are interleaved, and the trial with the longest way to the end of its bracket is next.
            Else trials come in the order of the plan.
        options: `SearchOracle`'s; nothing is drawn here, the seed is only recorded.
    """

    def __init__(
        self,
        plan: HyperbandPlan,
        configurations: Sequence[Configuration],
        *,
        epoch_seconds: Callable[[int], float] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._epoch_seconds = epoch_seconds
        self.plan = plan.limited_to(len(configurations))
        self.configurations = tuple(configurations)
        # Both only grow, and are asked for after every trial.
        self._ended: dict[int, TrialState] = {}
        self._written: list[TrialState] = []
        # Brackets that are over: when trials end, and when they are written down.
        self._over, self._written_over = set[int](), set[int]()

    @property
    def history(self) -> list[TrialState]:
        """All trials started so far."""
        running = [each for number, each in self.assignments.items() if number not in self._ended]
        return [*self._ended.values(), *(_state(assignment, "running", None) for assignment in running)]

    def end_trial(self, trial: Any) -> None:
        """KerasTuner's, and the plan is told: also where KerasTuner's own loop carries it out."""
        super().end_trial(trial)
        ended = self.trials[trial.trial_id]
        number = int(ended.trial_id)
        self._ended[number] = _state(self.assignments[number], ended.status.lower(), ended.score)

    def coming(self) -> Assignment | Literal["wait", "done"]:
        """The plan's next trial."""
        urgency = None if self._epoch_seconds is None else self.urgency
        return next_assignment(self.plan, self.history, over=self._over, urgency=urgency)

    def urgency(self, assignment: Assignment) -> float:
        """To the end of its bracket."""
        if (cost := self._epoch_seconds) is None:
            return 0.0
        return longest_way(self.plan, assignment, lambda number: cost(self.configurations[number].unfreeze_depth))

    def values_of(self, assignment: Assignment) -> dict[str, Any]:
        """The configuration, and the assignment by the names that KerasTuner's Hyperband uses where it has them."""
        told = {name: getattr(assignment, name) for name in ("configuration", "bracket", "initial_epoch", "epochs")}
        told["round"] = assignment.rung
        if assignment.parent is not None:
            told["trial_id"] = f"{assignment.parent:04d}"
        values = asdict(self.configurations[assignment.configuration])
        return values | {f"tuner/{name}": value for name, value in told.items()}

    def fits(self, record: TrialRecord) -> bool:
        """Whether the record is of the next trial of its bracket."""
        assignment = record_assignment(record)
        return (
            record.bracket < len(self.plan.brackets)
            and assignment == next_in_bracket(self.plan, record.bracket, self.history)
            and asdict(self.configurations[record.configuration]) == record.hyperparameters
        )

    def next_to_write(self, written: Sequence[TrialRecord]) -> int | None:
        """What the plan carries out one after the other."""
        new = written[len(self._written) :]
        self._written += [_state(record, record.status, record.objective) for record in new]
        coming = next_assignment(self.plan, self._written, over=self._written_over)
        return coming.trial if isinstance(coming, Assignment) else None

    @property
    def promotable(self) -> frozenset[int]:
        """Trials that can still be promoted."""
        return promotable_trials(self.plan, self.history, over=self._over)


def _state(trial: Assignment | TrialRecord, status: Any, objective: float | None) -> TrialState:
    # A completed trial without an objective, as old versions recorded it, had failed to KerasTuner.
    status = "failed" if status == "completed" and objective is None else status
    return TrialState(trial.trial, trial.configuration, trial.bracket, trial.rung, status, objective)


def record_assignment(record: TrialRecord) -> Assignment:
    """The assignment that a trial carried out."""
    return Assignment(**{field.name: getattr(record, field.name) for field in fields(Assignment)})
