"""Tuner: asks the oracle for trials, submits their folds, and records what comes back in the order of the plan."""

from __future__ import annotations

import datetime
import errno
import itertools
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np

from reports.trials import OBJECTIVE_CURVE, TrialRecord, ranked
from search.errors import RunError
from search.files.atomic import make_durable_folder
from search.plan.execution import Assignment, SearchListener
from search.plan.space import Configuration
from search.run_folder.trial_log import append_record, last_failures
from search.trials.checkpoints import FoldsInFlight, keep_only
from search.trials.cross_validation import FoldResult, Score, score
from search.trials.data import TrainingSettings, TrialData
from search.trials.out_of_fold import is_intact, write_out_of_fold
from search.trials.worker import FoldWork, Work
from search.tuner.executors.base import Executor, carry_out
from search.tuner.failures import IN_A_ROW, describe_failure, stopped_by_failures
from search.tuner.oracle import SearchOracle, record_assignment

NO_OBJECTIVE = f"{OBJECTIVE_CURVE} is not defined: no fold has an image of every class to validate on"
Curves = dict[str, tuple[tuple[float, ...], ...]]


@dataclass(frozen=True)
class _Out:
    """A trial whose folds are being trained."""

    trial: Any
    assignment: Assignment
    configuration: Configuration
    started: datetime.datetime
    results: dict[int, FoldResult] = field(default_factory=dict)


class MammoTuner(keras_tuner.engine.base_tuner.BaseTuner):
    """Carries out an oracle's trials.

    Args:
        oracle: Hands out the trials.
        executor: Trains their folds.
        data: Development data.
        run_directory: The run's folder: trials.jsonl, oof/, failures/ and search/ are written in it; what the executor
            leaves in in_flight/ and checkpoints/ is deleted when nobody needs it any more.
        settings: What is constant over the trials.
        listener: Shows the progress.
        finished: Trials of an earlier part of the same search, as trials.jsonl has them; they are not trained again,
            except where their out-of-fold logits are missing or damaged.
        attempt: How often failures in a row have stopped the search before.

    Attributes:
        records: All trials in the order of the plan, as far as all before them have ended.

    Raises:
        RunError: If the finished trials are not of this search.
    """

    oracle: SearchOracle

    def __init__(
        self,
        oracle: SearchOracle,
        *,
        executor: Executor,
        data: TrialData,
        run_directory: Path,
        settings: TrainingSettings,
        listener: SearchListener,
        finished: Sequence[TrialRecord] = (),
        attempt: int = 0,
    ) -> None:
        self._executor = executor
        self._data = data
        self._run_directory = run_directory
        self._settings, self._listener = settings, listener
        self._attempt = attempt
        make_durable_folder(run_directory)
        self._folder_identity = _identity(run_directory)
        self._oof = run_directory / "oof"
        self._in_flight = FoldsInFlight(run_directory / "in_flight")
        self._asked = itertools.count()
        self._out: dict[int, _Out] = {}
        self._early: dict[int, tuple[TrialRecord, list[FoldResult]]] = {}
        self._curves = {record.trial: record.curves for record in finished}
        self.records = list(finished)
        # trials.jsonl is what is true of a search; KerasTuner's files are made anew from it.
        shutil.rmtree(run_directory / "search", ignore_errors=True)
        super().__init__(oracle=oracle, directory=str(run_directory), project_name="search")
        oracle.restore(finished)

    def _populate_initial_space(self) -> None:
        # The space is declared; KerasTuner would build a model to find it.
        return

    def search(self, *args: Any, **kwargs: Any) -> None:
        """Carry out what is left of the search; KerasTuner's own loop has one trial out at a time.

        Raises:
            RunError: If three trials in a row failed, or logits of a finished trial can't be made anew.
            UserError: As the executor; so do DataError and OSError.
        """
        for record in self.records:
            self._in_flight.forget(record.trial)
            if record.status == "completed" and not is_intact(self._oof, self._data, record):
                self._mend_out_of_fold(record)
        while True:
            while self._executor.has_room and self._begin():
                pass
            if not self._out:
                break
            work, result = self._executor.next_result()
            if isinstance(work, FoldWork) and (out := self._out.get(work.assignment.trial)) is not None:
                out.results[work.fold] = result
                self._end_if_decided(out)
            # else of a fold behind one that has failed
        # Where time has ended the search, a trial before these was never begun.
        left = [record for record, _ in self._early.values()]
        for record in sorted(left, key=lambda record: (record.bracket, record.rung, record.trial)):
            self._record(*self._early[record.trial])
        self._executor.flush()
        self.oracle.save(whole=True)
        self._delete_checkpoints()
        shutil.rmtree(self._run_directory / "in_flight", ignore_errors=True)

    def _begin(self) -> bool:
        """Submit the next trial, if one can start now."""
        self._require_folder()
        # A name each: KerasTuner gives a tuner its own trial again.
        trial = self.oracle.create_trial(f"tuner{next(self._asked)}")
        if trial.status != "RUNNING":
            return False
        number, configuration = int(trial.trial_id), Configuration.from_values(trial.hyperparameters.values)
        assignment = self.oracle.assignments[number]
        self._out[number] = _Out(trial, assignment, configuration, datetime.datetime.now(datetime.UTC))
        self._listener.trial_begins(number, assignment, configuration)
        urgency = self.oracle.urgency(assignment)
        for fold in range(len(self._data.folds)):
            told = partial(self._listener.epoch_ended, number, fold)
            self._executor.submit(FoldWork(assignment, configuration, fold), told, urgency)
        return True

    def _end_if_decided(self, out: _Out) -> None:
        """A trial has ended with its last fold, or when all folds before one that has failed are there."""
        number, folds = out.assignment.trial, len(self._data.folds)
        failed = min((fold for fold, result in out.results.items() if result.failure), default=None)
        if failed is not None:
            self._executor.cancel(partial(_is_behind, number, failed))
            folds = failed + 1
        if not all(fold in out.results for fold in range(folds)):
            return
        del self._out[number]
        results = [out.results[fold] for fold in range(folds)]
        record = self._recorded(out, results)
        self._executor.flush()
        self._require_folder()  # KerasTuner's files come next, and would make it anew
        self._curves[number] = record.curves
        self.oracle.end(out.trial, record)
        self.save()
        self._early[number] = record, results
        while (turn := self.oracle.next_to_write(self.records)) in self._early:
            self._record(*self._early.pop(turn))
        self._delete_checkpoints()

    def _delete_checkpoints(self) -> None:
        """Delete those that nobody needs; on the disk is what the executor was asked to flush.

        Needed are the states that a trial may go on from, and those of the trial that leads.
        """
        leading = {record.trial for record in ranked([*self.records, *(each for each, _ in self._early.values())])[:1]}
        parents = {out.assignment.parent for out in self._out.values() if out.assignment.parent is not None}
        needed = self.oracle.promotable | leading | self._out.keys() | parents | self._in_flight.trials
        keep_only(self._run_directory / "checkpoints", needed)

    def _recorded(self, out: _Out, results: Sequence[FoldResult]) -> TrialRecord:
        assignment, failure = out.assignment, results[-1].failure
        error, curves, outcome = None, {}, Score()
        if failure is not None:
            work = FoldWork(assignment, out.configuration, len(results) - 1)
            error = describe_failure(failure, self._run_directory, work)
        else:
            curves = self._joined_curves(assignment, results)
            outcome = score(curves[OBJECTIVE_CURVE])
            if outcome.objective is None:
                error = NO_OBJECTIVE
        seconds = sum(result.seconds for result in results)
        build = sum(result.build_seconds for result in results)
        return TrialRecord(
            **asdict(assignment),
            hyperparameters=asdict(out.configuration),
            status="failed" if error else "completed",
            **asdict(outcome),
            curves=curves,
            started=out.started.isoformat(timespec="milliseconds"),
            seconds=round(seconds, 3),
            overhead_seconds=round(seconds - sum(result.arithmetic_seconds for result in results) - build, 3),
            build_seconds=round(build, 3),
            error=error,
            diverged_epoch=failure.diverged_epoch if failure else None,
            attempt=self._attempt,
            backbone_learning_rate=self._backbone_rate(out.configuration),
        )

    def _backbone_rate(self, configuration: Configuration) -> float | None:
        return self._settings.backbone_rate(configuration.learning_rate) if configuration.unfreeze_depth else None

    def _record(self, record: TrialRecord, results: Sequence[FoldResult]) -> None:
        """Write down a trial whose turn it is."""
        self._require_folder()
        if results[-1].failure is None:
            write_out_of_fold(self._oof, self._data, record, results)
        append_record(self._run_directory / "trials.jsonl", record)
        self._in_flight.forget(record.trial)
        self.records.append(record)
        self._listener.trial_ended(record)
        if last_failures(self.records) >= IN_A_ROW:
            raise stopped_by_failures(self.records)

    def _mend_out_of_fold(self, record: TrialRecord) -> None:
        """Make the logits of a finished trial anew, by training it again to the same bits."""
        configuration = Configuration.from_values(record.hyperparameters)
        assignment = record_assignment(record)
        works = [FoldWork(assignment, configuration, fold) for fold in range(len(self._data.folds))]
        results = carry_out(self._executor, works)
        again = [result.curves.get(OBJECTIVE_CURVE, ()) for result in results]
        before = [curve[record.initial_epoch :] for curve in record.curves[OBJECTIVE_CURVE]]
        if not np.array_equal(np.array(again), np.array(before), equal_nan=True):
            raise RunError(
                expected=f"the logits of trial {record.trial} as they were written",
                found="a missing or damaged file, and other values when the trial was trained again",
                remedy="Restore the folder oof, or search again with --fresh.",
            )
        write_out_of_fold(self._oof, self._data, record, results)
        self._in_flight.forget(record.trial)

    def load_model(self, trial: Any) -> Any:
        """Not offered: a trial has one model a fold, and none is the final one."""
        raise NotImplementedError("A cross-validated trial has no single model; `mammo-search run` retrains one.")

    def _require_folder(self) -> None:
        """Make sure that the folder is the one that the search began in; nothing may go on in the ruins of it."""
        if _identity(self._run_directory) != self._folder_identity:
            raise FileNotFoundError(errno.ENOENT, "the folder has vanished", str(self._run_directory))

    def _joined_curves(self, assignment: Assignment, results: Sequence[FoldResult]) -> Curves:
        """The parent's curves with this trial's behind them."""
        before = self._curves[assignment.parent] if assignment.parent is not None else {}
        return {
            name: tuple(
                (before[name][fold] if before else ()) + result.curves[name] for fold, result in enumerate(results)
            )
            for name in results[0].curves
        }


def _is_behind(trial: int, fold: int, work: Work) -> bool:
    """Whether a work is a later fold of a trial."""
    return isinstance(work, FoldWork) and work.assignment.trial == trial and work.fold > fold


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
