"""KerasTuner's tuner over cross-validated trials that share compiled tails."""

from __future__ import annotations

import datetime
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import keras
import keras_tuner

from reports.trial_record import TrialRecord
from search.checkpoints import CheckpointStore
from search.cross_validation import OBJECTIVE, DivergedError, FoldResult, score, train_fold
from search.folds_in_flight import FoldsInFlight
from search.oracles import SearchOracle, restore_trials
from search.out_of_fold import write_out_of_fold
from search.plan_execution import Assignment
from search.space import Configuration
from search.tail_trainer import State, TailTrainer
from search.trial_data import TrainingSettings, TrialData
from search.trial_log import append_record


class SearchListener(Protocol):
    """Whoever shows the search."""

    def run_begins(self, run: int, assignment: Assignment, configuration: Configuration) -> None:
        """A run starts."""

    def epoch_ended(self, run: int, fold: int, epoch: int) -> None:
        """One fold of a run has trained one more epoch."""

    def run_ended(self, record: TrialRecord) -> None:
        """A run is finished and recorded."""


class MammoTuner(keras_tuner.Tuner):
    """Runs an oracle's trials.

    Args:
        oracle: Hands out the runs.
        trainer_of: Gives the compiled tail for a configuration; the same one for the same shape.
        data: Development data.
        settings: What is constant over the trials.
        run_directory: The run's folder: trials.jsonl, oof/, checkpoints/ and search/ are written in it.
        listener: Shows the progress.
        finished: Runs of an earlier part of the same search, in their order; they are not run again.
    """

    oracle: SearchOracle

    def __init__(
        self,
        oracle: SearchOracle,
        *,
        trainer_of: Callable[[Configuration], TailTrainer],
        data: TrialData,
        settings: TrainingSettings,
        run_directory: Path,
        listener: SearchListener,
        finished: Sequence[TrialRecord] = (),
    ) -> None:
        self._trainer_of = trainer_of
        self._data = data
        self._settings = settings
        self._run_directory = run_directory
        self._listener = listener
        self._checkpoints = CheckpointStore(run_directory / "checkpoints")
        self._in_flight = FoldsInFlight(run_directory / "in_flight")
        self._curves = {record.run: record.curves for record in finished}
        self.records = list(finished)
        oracle.verbose = 0
        # trials.jsonl is what is true of a search; KerasTuner's files are made anew from it.
        shutil.rmtree(run_directory / "search", ignore_errors=True)
        super().__init__(oracle=oracle, directory=str(run_directory), project_name="search")
        restore_trials(oracle, finished)

    def _populate_initial_space(self) -> None:
        # The space is declared; KerasTuner would build a model to find it.
        return

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Train and score one run on every fold.

        Returns:
            The mean fold curves since epoch 1, as KerasTuner takes them from ``Model.fit``.

        Raises:
            FailedTrialError: If training diverged; the search goes on.
            FatalError: With any other exception as its cause; a run that is not recorded must end the search, for
                KerasTuner would count it and a resumed search would not.
        """
        try:
            return self._run(trial)
        except keras_tuner.errors.FailedTrialError:
            raise
        except Exception as error:
            raise keras_tuner.errors.FatalError(str(error)) from error

    def _run(self, trial: Any) -> keras.callbacks.History:
        run, assignment = int(trial.trial_id), self.oracle.assignment(trial)
        configuration = self.oracle.configuration_of(trial)
        self._listener.run_begins(run, assignment, configuration)
        started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
        trainer = self._trainer_of(configuration)
        arithmetic = trainer.arithmetic_seconds
        status, error, results = "completed", None, []
        try:
            results = self._train_folds(run, assignment, configuration, trainer)
        except DivergedError as divergence:
            status, error = "failed", str(divergence)
        curves = self._joined_curves(assignment, results) if results else {}
        outcome = score(curves[OBJECTIVE]) if results else None
        seconds = time.perf_counter() - clock
        record = TrialRecord(
            run=run,
            configuration=assignment.configuration,
            bracket=assignment.bracket,
            rung=assignment.rung,
            parent=assignment.parent,
            initial_epoch=assignment.initial_epoch,
            epochs=assignment.epochs,
            hyperparameters={
                name: value for name, value in trial.hyperparameters.values.items() if not name.startswith("tuner/")
            },
            status=status,  # type: ignore[arg-type]
            objective=outcome.objective if outcome else None,
            best_epoch=outcome.best_epoch if outcome else None,
            curves=curves,
            started=started.isoformat(timespec="milliseconds"),
            seconds=round(seconds, 3),
            overhead_seconds=round(seconds - (trainer.arithmetic_seconds - arithmetic), 3),
            error=error,
        )
        self._checkpoints.wait()
        append_record(self._run_directory / "trials.jsonl", record)
        self._in_flight.clear()
        self._curves[run] = curves
        self.records.append(record)
        self._listener.run_ended(record)
        if error:
            raise keras_tuner.errors.FailedTrialError(error)
        return _history(curves)

    def on_trial_end(self, trial: Any) -> None:
        """Close the trial, then delete what can't be promoted any more."""
        super().on_trial_end(trial)
        self._checkpoints.keep_only(self.oracle.promotable)

    def on_search_end(self) -> None:
        """Wait for what is still being written."""
        self._checkpoints.close()

    def load_model(self, trial: Any) -> Any:
        """Not offered: a trial has one model a fold, and none is the final one."""
        raise NotImplementedError("A cross-validated trial has no single model; `mammo-search run` retrains one.")

    def _train_folds(
        self, run: int, assignment: Assignment, configuration: Configuration, trainer: TailTrainer
    ) -> list[FoldResult]:
        results = []
        for fold in range(len(self._data.folds)):
            finished = self._in_flight.load(run, assignment, fold)
            if finished is not None:
                results.append(finished)
                continue
            parent = None
            if assignment.parent is not None:
                parent = self._checkpoints.load(assignment.parent, fold) or self._trained_again(
                    trainer, configuration, fold, assignment.initial_epoch
                )
            result = train_fold(
                trainer,
                configuration,
                self._data,
                self._settings,
                fold=fold,
                initial_epoch=assignment.initial_epoch,
                epochs=assignment.epochs,
                parent=parent,
                on_epoch=partial(self._listener.epoch_ended, run, fold),
            )
            if assignment.epochs < self._settings.full_epochs:
                self._checkpoints.save(run, fold, trainer.state())
            self._in_flight.save(run, assignment, fold, result)
            results.append(result)
        write_out_of_fold(
            self._run_directory / "oof" / f"{run:04d}.npz",
            self._data,
            results,
            initial_epoch=assignment.initial_epoch,
            epochs=assignment.epochs,
        )
        return results

    def _trained_again(
        self, trainer: TailTrainer, configuration: Configuration, fold: int, epochs: int
    ) -> State:
        """The state of a parent whose checkpoint was not kept, for nobody expected it to be promoted."""
        train_fold(trainer, configuration, self._data, self._settings, fold=fold, initial_epoch=0, epochs=epochs)
        return trainer.state()

    def _joined_curves(
        self, assignment: Assignment, results: list[FoldResult]
    ) -> dict[str, tuple[tuple[float, ...], ...]]:
        """The parent's curves with this run's behind them."""
        before = self._curves[assignment.parent] if assignment.parent is not None else {}
        return {
            name: tuple(
                (before[name][fold] if before else ()) + result.curves[name] for fold, result in enumerate(results)
            )
            for name in results[0].curves
        }


def _history(curves: dict[str, tuple[tuple[float, ...], ...]]) -> keras.callbacks.History:
    import numpy as np

    history = keras.callbacks.History()
    history.history = {name: np.nanmean(np.array(folds), axis=0).tolist() for name, folds in curves.items()}
    return history
