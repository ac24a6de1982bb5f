"""The folds of a run: trained, kept while the run is in flight, and kept for its promotion.

Whatever of this is missing or damaged is trained again, to the same bits: a fold that was not finished, a parent whose
state was not kept, the out-of-fold logits of a finished run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

import numpy as np

from reports.trials import TrialRecord
from search.errors import RunError
from search.plan.execution import Assignment
from search.plan.space import Configuration
from search.trials.checkpoints import CheckpointStore, FoldsInFlight
from search.trials.cross_validation import OBJECTIVE, FoldResult, train_fold
from search.trials.data import TrainingSettings, TrialData
from search.trials.out_of_fold import is_intact, out_of_fold_file, write_out_of_fold
from search.trials.tail import State, TailTrainer


class FoldRunner:
    """Trains runs on every fold, and writes what they leave beside their record.

    Args:
        data: Development data.
        settings: What is constant over the trials.
        run_directory: The run's folder: oof/, checkpoints/ and in_flight/ are written in it.
    """

    def __init__(self, data: TrialData, settings: TrainingSettings, run_directory: Path) -> None:
        self._data = data
        self._settings = settings
        self._out_of_fold = run_directory / "oof"
        self._checkpoints = CheckpointStore(run_directory / "checkpoints")
        self._in_flight = FoldsInFlight(run_directory / "in_flight")

    def train(
        self,
        run: int,
        assignment: Assignment,
        configuration: Configuration,
        trainer: TailTrainer,
        on_epoch: Callable[[int, int], None],
    ) -> list[FoldResult]:
        """Train a run on the folds that an interrupted attempt at it has not finished, and write all its logits.

        Args:
            run: Its number.
            assignment: From whose state, over which epochs.
            configuration: What to train.
            trainer: The compiled tail of the configuration's shape.
            on_epoch: Called with (fold, epoch).

        Returns:
            The result of every fold.

        Raises:
            DivergedError: If the loss or a validation logit is not finite.
            OSError: If a file can't be written.
        """
        results = []
        for fold in range(len(self._data.folds)):
            finished = self._in_flight.load(run, assignment, fold)
            if finished is None:
                finished = self._train_fold(assignment, configuration, trainer, fold, partial(on_epoch, fold))
                if assignment.epochs < self._settings.full_epochs:
                    self._checkpoints.save(run, fold, trainer.state())
                self._in_flight.save(run, assignment, fold, finished)
            results.append(finished)
        self._write_out_of_fold(run, assignment, results)
        return results

    def wait(self) -> None:
        """Return when the checkpoints are on the disk.

        Raises:
            OSError: If a write failed.
        """
        self._checkpoints.wait()

    def forget_folds_in_flight(self) -> None:
        """The run that they belong to is recorded."""
        self._in_flight.clear()

    def keep_only(self, promotable: Collection[int]) -> None:
        """Delete the checkpoints of all other runs."""
        self._checkpoints.keep_only(promotable)

    def close(self) -> None:
        """Wait for what is still being written."""
        self._checkpoints.close()

    def has_out_of_fold(self, record: TrialRecord) -> bool:
        """Whether the logits of a finished run are there and undamaged."""
        return is_intact(out_of_fold_file(self._out_of_fold, record.run), self._data, record)

    def mend_out_of_fold(self, record: TrialRecord, assignment: Assignment, trainer: TailTrainer) -> None:
        """Make the logits of a finished run anew, by training it again to the same bits.

        Raises:
            RunError: If it gives other values, as on a machine that is not deterministic.
        """
        configuration = Configuration.from_values(record.hyperparameters)
        results = [self._train_fold(assignment, configuration, trainer, fold) for fold in range(len(self._data.folds))]
        again = np.array([result.curves[OBJECTIVE] for result in results])
        before = np.array(record.curves[OBJECTIVE])[:, record.initial_epoch :]
        if not np.array_equal(again, before, equal_nan=True):
            raise RunError(
                expected=f"the logits of run {record.run} as they were written",
                found="a missing or damaged file, and other values when the run was trained again",
                remedy="Restore the folder oof, or search again with --fresh.",
            )
        self._write_out_of_fold(record.run, assignment, results)

    def _train_fold(
        self,
        assignment: Assignment,
        configuration: Configuration,
        trainer: TailTrainer,
        fold: int,
        on_epoch: Callable[[int], None] | None = None,
    ) -> FoldResult:
        parent = None
        if assignment.parent is not None:
            parent = self._checkpoints.load(assignment.parent, fold)
            if parent is None or not trainer.fits(parent):
                parent = self._trained_again(trainer, configuration, fold, assignment.initial_epoch)
        return train_fold(
            trainer,
            configuration,
            self._data,
            self._settings,
            fold=fold,
            initial_epoch=assignment.initial_epoch,
            epochs=assignment.epochs,
            parent=parent,
            on_epoch=on_epoch,
        )

    def _trained_again(self, trainer: TailTrainer, configuration: Configuration, fold: int, epochs: int) -> State:
        """The state of a parent whose checkpoint was not kept, for nobody expected it to be promoted."""
        train_fold(trainer, configuration, self._data, self._settings, fold=fold, initial_epoch=0, epochs=epochs)
        return trainer.state()

    def _write_out_of_fold(self, run: int, assignment: Assignment, results: list[FoldResult]) -> None:
        write_out_of_fold(
            out_of_fold_file(self._out_of_fold, run),
            self._data,
            results,
            initial_epoch=assignment.initial_epoch,
            epochs=assignment.epochs,
        )
