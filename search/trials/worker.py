"""Worker: what a process that trains holds, what it can be given to do, and the search's unit of that, one fold of one
trial."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mammo_data.errors import DataError
from search.bit import BitArchitecture, BitWeights
from search.boundary.on_device import DeviceBanks
from search.errors import UserError
from search.machine.failures import first_line, is_disk_failure, is_out_of_memory
from search.plan.device_memory import MemoryDemand, half_the_batch
from search.plan.execution import Assignment
from search.plan.space import Configuration
from search.trials.checkpoints import MOST_LEADER_BYTES, CheckpointStore, FoldsInFlight
from search.trials.cross_validation import DivergedError, FoldFailure, FoldResult, train_on_fold
from search.trials.data import TrainingSettings, TrialData
from search.trials.tail import TailTrainer


class TrainerPool:
    """What a process has on its device: compiled tails, one for each shape, built when first asked for, and banks.

    Args:
        architecture: The backbone's.
        weights: Its pretrained weights.
        data: Development data; the banks give the boundary shapes.
        optimizer: Name of the optimizer.
        dtype: Dtype policy of the backbone's part.
        demand: What the search asks of the device's memory; where nobody says, no bank is kept there.
    """

    def __init__(
        self,
        architecture: BitArchitecture,
        weights: BitWeights,
        data: TrialData,
        *,
        optimizer: str,
        dtype: str = "float32",
        demand: MemoryDemand | None = None,
    ) -> None:
        self._architecture, self._weights = architecture, weights
        self._n_classes, self._optimizer, self._dtype = len(data.class_names), optimizer, dtype
        self._demand = demand
        self._shapes = {depth: bank.shape for depth, bank in data.banks.items()}
        self._trainers: dict[tuple[int, int, str], TailTrainer] = {}

    def __call__(self, configuration: Configuration, optimizer: str | None = None) -> TailTrainer:
        """The tail of the configuration's shape; of another optimizer where one is named."""
        depth, width = configuration.unfreeze_depth, configuration.head_width
        shape = depth, width, optimizer or self._optimizer
        if shape not in self._trainers:
            self._trainers[shape] = TailTrainer(
                self._architecture,
                self._weights,
                depth=depth,
                boundary_shape=self._shapes[depth],
                head_width=width,
                n_classes=self._n_classes,
                optimizer=shape[-1],
                dtype=self._dtype,
            )
        return self._trainers[shape]

    @cached_property
    def banks(self) -> DeviceBanks:
        """Banks that are kept on the device of this process."""
        return DeviceBanks.of_own_gpu(self._demand.room_for_banks) if self._demand else DeviceBanks("CPU:0", 0)

    def smaller(self, batch_size: int) -> str:
        """What to try where the memory of this process was too small for so many images a step, as it is typed."""
        return self._demand.smaller() if self._demand else half_the_batch(batch_size)

    def adopt(self, others: TrainerPool) -> None:
        """Take over what another pool has on the device, where it builds the same."""
        if self._key == others._key:
            self._trainers, self.banks = others._trainers, others.banks

    @property
    def _key(self) -> tuple[Any, ...]:
        return self._weights.fingerprint, self._shapes, self._n_classes, self._dtype

    def __getstate__(self) -> dict[str, Any]:
        here = {name: value for name, value in self.__dict__.items() if name != "banks"}  # of a process, as graphs are
        return {**here, "_trainers": {}}


@dataclass(frozen=True)
class Worker:
    """What a process that trains holds.

    Attributes:
        data: Development data.
        settings: What is constant over the trials.
        trainers: Gives the compiled tails, and has the banks that are kept on the device.
        run_directory: The run's folder.
    """

    data: TrialData
    settings: TrainingSettings
    trainers: TrainerPool
    run_directory: Path

    def __getstate__(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}  # threads are of a process

    @cached_property
    def checkpoints(self) -> CheckpointStore:
        """Where trials stopped."""
        return CheckpointStore(self.run_directory / "checkpoints")

    @property
    def in_flight(self) -> FoldsInFlight:
        """Finished folds of trials that are not recorded yet."""
        return FoldsInFlight(self.run_directory / "in_flight")

    def data_at(self, depth: int) -> TrialData:
        """The data, with the bank of an unfreeze depth read from the device where it is kept there."""
        bank = self.data.banks[depth]
        return replace(
            self.data, banks={**self.data.banks, depth: replace(bank, values=self.trainers.banks.of(bank.values))}
        )

    def carry_out(self, work: Work, on_epoch: Callable[[int], None]) -> Any:
        """Do some work; where memory runs out while banks are on the device, once more without them.

        Args:
            work: What.
            on_epoch: Called with the number of each finished epoch, from 1.

        Returns:
            The work's result.
        """
        try:
            return work.carry_out(self, on_epoch)
        except Exception as error:
            if not (self.trainers.banks.kept and is_out_of_memory(error)):
                raise
        self.trainers.banks.give_up()
        return work.carry_out(self, on_epoch)


class Work(Protocol):
    """Something that a worker can be given to do, as a whole."""

    @property
    def name(self) -> str:
        """What it is, in a few words."""

    @property
    def shape(self) -> tuple[int, int, str]:
        """Unfreeze depth, head width and optimizer ("" for the search's) of the tail that it needs."""

    def carry_out(self, worker: Worker, on_epoch: Callable[[int], None]) -> Any:
        """Do it.

        Args:
            worker: What the process holds.
            on_epoch: Called with the number of each finished epoch, from 1.

        Returns:
            The result, a value that can be pickled; what it leaves on the disk is there.
        """

    def given_up(self, reason: str) -> Any:
        """The result where every worker that had it was lost, the last one as the reason says; or an exception."""


@dataclass(frozen=True)
class FoldWork:
    """One fold of one trial.

    Attributes:
        assignment: The trial: its number, from whose state it goes on, over which epochs.
        configuration: What to train.
        fold: Position in the data's folds.
    """

    assignment: Assignment
    configuration: Configuration
    fold: int

    @property
    def name(self) -> str:
        """Trial and fold."""
        return f"trial {self.assignment.trial}, fold {self.fold + 1}"

    @property
    def shape(self) -> tuple[int, int, str]:
        """That of the configuration's tail."""
        return self.configuration.unfreeze_depth, self.configuration.head_width, ""

    def carry_out(self, worker: Worker, on_epoch: Callable[[int], None]) -> FoldResult:
        """`train_fold`."""
        return train_fold(self, worker, on_epoch)

    def given_up(self, reason: str) -> FoldResult:
        """A failure."""
        return FoldResult({}, np.empty((0, 0, 0), np.float32), FoldFailure(reason))


def folds_at_work(at_work: Mapping[str, Work]) -> dict[str, tuple[int, int]]:
    """Trial and fold of the search's works among what workers have, by the workers' names."""
    return {name: (work.assignment.trial, work.fold) for name, work in at_work.items() if isinstance(work, FoldWork)}


def train_fold(work: FoldWork, worker: Worker, on_epoch: Callable[[int], None]) -> FoldResult:
    """Train one fold of one trial, unless an interrupted attempt at this very trial has finished it.

    Its logits and curves are in ``in_flight`` when this returns, its state is on its way to ``checkpoints``. What is
    missing or damaged of what an earlier part of the search has left is trained again, to the same bits.

    Raises:
        UserError: What says itself what the user has to do, and every other fold would meet as well; DataError as well.
        OSError: If a file can't be read or written.
        Exception: Where memory has run out while banks are on the device: without them it may do.
    """
    kept = worker.in_flight.load(work.assignment, work.fold)
    if kept is not None:
        return kept
    clock = time.perf_counter()
    trainer, arithmetic, build = None, 0.0, 0.0
    try:
        trainer = worker.trainers(work.configuration)
        arithmetic, build = trainer.arithmetic_seconds, trainer.build_seconds - (time.perf_counter() - clock)
        result = _trained(work, worker, trainer, on_epoch)
    except (UserError, DataError):
        raise
    except Exception as error:
        if is_disk_failure(error) or (worker.trainers.banks.kept and is_out_of_memory(error)):
            raise
        nothing = np.empty((0, 0, 0), np.float32)
        result = FoldResult({}, nothing, _failure(error, work.configuration, worker))
    return replace(
        result,
        seconds=time.perf_counter() - clock,
        arithmetic_seconds=trainer.arithmetic_seconds - arithmetic if trainer else 0.0,
        build_seconds=trainer.build_seconds - build if trainer else 0.0,
    )


def _trained(work: FoldWork, worker: Worker, trainer: TailTrainer, on_epoch: Callable[[int], None]) -> FoldResult:
    assignment, fold, state = work.assignment, work.fold, None
    data = worker.data_at(work.configuration.unfreeze_depth)
    train = partial(train_on_fold, trainer, work.configuration, data, worker.settings, fold=fold)
    if assignment.parent is not None:
        state = worker.checkpoints.load(assignment.parent, fold)
        if state is None or not trainer.fits(state):
            # Nobody expected the parent to be promoted, or what it left is lost.
            train(initial_epoch=0, epochs=assignment.initial_epoch)
            state = trainer.state()
    result = train(
        initial_epoch=assignment.initial_epoch,
        epochs=assignment.epochs,
        parent=state,
        on_epoch=on_epoch,
    )
    reached = trainer.state()
    # Nobody goes on from the full budget: these are kept for the fold models of the trial that wins.
    bytes_of_folds = len(worker.data.folds) * sum(values.nbytes for values in reached.values())
    if assignment.epochs < worker.settings.full_epochs or bytes_of_folds <= MOST_LEADER_BYTES:
        worker.checkpoints.save(assignment.trial, fold, reached)
    worker.in_flight.save(assignment, fold, result)
    return result


def _failure(error: Exception, configuration: Configuration, worker: Worker) -> FoldFailure:
    if isinstance(error, DivergedError):
        return FoldFailure(str(error), diverged_epoch=error.epoch)
    text = first_line(error)
    if is_out_of_memory(error):
        batch_size = worker.settings.batch_size
        text = (
            f"out of memory with {batch_size} images a step at unfreeze depth {configuration.unfreeze_depth}; "
            f"try {worker.trainers.smaller(batch_size)}, as a run of another --name"
        )
    return FoldFailure(text, "".join(traceback.format_exception(error)))
