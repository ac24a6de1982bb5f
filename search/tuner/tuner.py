"""KerasTuner's tuner over cross-validated trials that share compiled tails."""

from __future__ import annotations

import datetime
import errno
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np

from mammo_data.errors import DataError
from reports.trials import TrialRecord
from search.errors import UserError
from search.files.atomic import make_durable_folder
from search.machine.failures import is_disk_failure
from search.plan.execution import Assignment, SearchListener
from search.plan.space import Configuration
from search.run_folder.trial_log import append_record
from search.trials.cross_validation import OBJECTIVE, DivergedError, FoldResult, score
from search.trials.data import TrainingSettings, TrialData
from search.trials.fold_runner import FoldRunner
from search.trials.tail import TailTrainer
from search.tuner.failures import IN_A_ROW, describe_failure, last_failures, stopped_by_failures
from search.tuner.oracle import SearchOracle, record_assignment, restore_trials

NO_OBJECTIVE = f"{OBJECTIVE} is defined in no epoch: no fold has an image of every class to validate on"


class MammoTuner(keras_tuner.Tuner):
    """Runs an oracle's trials.

    Args:
        oracle: Hands out the runs.
        trainer_of: Gives the compiled tail for a configuration; the same one for the same shape.
        data: Development data.
        settings: What is constant over the trials.
        run_directory: The run's folder: trials.jsonl, oof/, checkpoints/ and search/ are written in it.
        listener: Shows the progress.
        finished: Runs of an earlier part of the same search, in their order; they are not run again, except where
            their out-of-fold logits are missing or damaged.

    Raises:
        RunError: If they are not of this search.
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
        self._batch_size = settings.batch_size
        self._run_directory = run_directory
        self._listener = listener
        make_durable_folder(run_directory)
        self._folder_identity = _identity(run_directory)
        self._folds = FoldRunner(data, settings, run_directory)
        self._curves = {record.run: record.curves for record in finished}
        self.records = list(finished)
        oracle.verbose = 0
        # trials.jsonl is what is true of a search; KerasTuner's files are made anew from it.
        shutil.rmtree(run_directory / "search", ignore_errors=True)
        super().__init__(oracle=oracle, directory=str(run_directory), project_name="search")
        restore_trials(oracle, finished)
        for record in finished:
            if record.status == "completed" and not self._folds.has_out_of_fold(record):
                trainer = trainer_of(Configuration.from_values(record.hyperparameters))
                self._folds.mend_out_of_fold(record, record_assignment(record), trainer)

    def _populate_initial_space(self) -> None:
        # The space is declared; KerasTuner would build a model to find it.
        return

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Train and score one run on every fold.

        Returns:
            The mean fold curves since epoch 1, as KerasTuner takes them from ``Model.fit``.

        Raises:
            FailedTrialError: If the run has failed and is recorded as such; the search goes on.
            FatalError: With any other exception as its cause; a run that is not recorded must end the search, for
                KerasTuner would count it and a resumed search would not. So does the third failure in a row.
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
        arithmetic, build, trainer = 0.0, 0.0, None
        error, diverged_epoch, results = None, None, []
        try:
            trainer = self._trainer_of(configuration)
            arithmetic, build = trainer.arithmetic_seconds, trainer.build_seconds - (time.perf_counter() - clock)
            results = self._folds.train(run, assignment, configuration, trainer, partial(self._epoch, run))
        except DivergedError as divergence:
            error, diverged_epoch = str(divergence), divergence.epoch
        except (UserError, DataError):
            raise  # says itself what the user has to do, and the next run would meet it as well
        except Exception as failure:
            if is_disk_failure(failure):
                raise
            error = describe_failure(failure, self._run_directory, run, assignment, configuration, self._batch_size)
        curves = self._joined_curves(assignment, results) if results else {}
        outcome = score(curves[OBJECTIVE]) if results else None
        if outcome and outcome.objective is None:
            # To KerasTuner it has failed; the record, which is all that a resumed search knows, has to agree.
            error = NO_OBJECTIVE
        seconds = time.perf_counter() - clock
        arithmetic = trainer.arithmetic_seconds - arithmetic if trainer else 0.0
        build = trainer.build_seconds - build if trainer else 0.0
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
            status="failed" if error else "completed",
            objective=outcome.objective if outcome else None,
            best_epoch=outcome.best_epoch if outcome else None,
            curves=curves,
            started=started.isoformat(timespec="milliseconds"),
            seconds=round(seconds, 3),
            overhead_seconds=round(seconds - arithmetic - build, 3),
            build_seconds=round(build, 3),
            error=error,
            diverged_epoch=diverged_epoch,
        )
        self._folds.wait()
        self._require_folder()
        append_record(self._run_directory / "trials.jsonl", record)
        self._folds.forget_folds_in_flight()
        self._curves[run] = curves
        self.records.append(record)
        self._listener.run_ended(record)
        self._require_folder()  # KerasTuner's files come next, and would make it anew
        if last_failures(self.records) >= IN_A_ROW:
            raise stopped_by_failures(self.records)
        if error:
            raise keras_tuner.errors.FailedTrialError(error)
        return _history(curves)

    def pre_create_trial(self) -> None:
        """Before KerasTuner writes anything: make sure that it is still into the folder that the search began in."""
        self._require_folder()

    def on_trial_end(self, trial: Any) -> None:
        """Close the trial, then delete what can't be promoted any more."""
        super().on_trial_end(trial)
        self._folds.keep_only(self.oracle.promotable)

    def on_search_end(self) -> None:
        """Wait for what is still being written."""
        self._folds.close()

    def load_model(self, trial: Any) -> Any:
        """Not offered: a trial has one model a fold, and none is the final one."""
        raise NotImplementedError("A cross-validated trial has no single model; `mammo-search run` retrains one.")

    def _epoch(self, run: int, fold: int, epoch: int) -> None:
        self._listener.epoch_ended(run, fold, epoch)

    def _require_folder(self) -> None:
        """Make sure that the folder is the one that the search began in; nothing may go on in the ruins of it."""
        if _identity(self._run_directory) != self._folder_identity:
            raise FileNotFoundError(errno.ENOENT, "the folder has vanished", str(self._run_directory))

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


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _history(curves: dict[str, tuple[tuple[float, ...], ...]]) -> keras.callbacks.History:
    history = keras.callbacks.History()
    history.history = {name: np.nanmean(np.array(folds), axis=0).tolist() for name, folds in curves.items()}
    return history
