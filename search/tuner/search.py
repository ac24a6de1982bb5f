"""Search: plan and development data in, trial records and the winner out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import keras_tuner

from reports.trials import TrialRecord
from search.config.schema import Config
from search.machine.failures import machine_failures_in_one_line
from search.plan.execution import SearchListener, SearchOutcome, TimeBound, time_bound
from search.plan.hyperband import HyperbandPlan
from search.plan.space import declare_space, draw_configurations, known_configurations
from search.trials.data import TrainingSettings, TrialData
from search.trials.worker import TrainerPool, Worker
from search.tuner.bayesian import BayesianOracle
from search.tuner.executors.base import Executor
from search.tuner.executors.in_process import InProcessExecutor
from search.tuner.failures import without_last_failures
from search.tuner.oracle import PlannedOracle, SearchOracle
from search.tuner.tuner import MammoTuner


def run_search(
    plan: HyperbandPlan,
    config: Config,
    data: TrialData,
    settings: TrainingSettings,
    *,
    trainers: TrainerPool,
    run_directory: Path,
    listener: SearchListener,
    finished: Sequence[TrialRecord] = (),
    ended_after: int | None = None,
    executor_of: Callable[[Worker], Executor] = InProcessExecutor,
    epoch_seconds: Callable[[int], float] = lambda depth: 1.0 + depth,
) -> SearchOutcome:
    """Carry out a plan.

    Args:
        plan: The plan.
        config: Gives space, seed, kind of search and bound of time.
        data: What the trials read.
        settings: What is constant over them.
        trainers: Compiled tails.
        run_directory: Where it is written down.
        listener: Is told of every epoch and trial.
        finished: Trials of an earlier part of the search, as trials.jsonl has them.
        ended_after: How many trials there were when the search ended by the time, if it has.
        executor_of: Makes the executor of the folds, given what a worker holds.
        epoch_seconds: Unfreeze depth to what an epoch is believed to take; several workers do first what takes longest.

    Raises:
        RunError: If three trials in a row failed, or the run's folder can't be written; either way the search can go on
            when the cause is mended.
        ReportError: If no trial ended with a score.
    """
    keras.utils.set_random_seed(settings.seed)
    kept = without_last_failures(finished) if ended_after is None else tuple(finished)
    worker = Worker(data, settings, trainers, run_directory)

    def smaller() -> str:
        return trainers.smaller(settings.batch_size)

    with machine_failures_in_one_line(run_directory, smaller=smaller), executor_of(worker) as executor:
        bound = time_bound(config.search.max_minutes, finished, trials=ended_after, workers=executor.workers)
        interleaved = epoch_seconds if executor.workers > 1 else None
        oracle = build_oracle(plan, config, seed=settings.seed, bound=bound, epoch_seconds=interleaved)
        tuner = MammoTuner(
            oracle,
            executor=executor,
            data=data,
            run_directory=run_directory,
            settings=settings,
            listener=listener,
            finished=kept,
            attempt=max((record.attempt for record in finished), default=0) + (len(kept) < len(finished)),
        )
        tuner.search()
    return SearchOutcome.of(tuner.records, cut_short=bound.is_reached(len(tuner.records)) and oracle.coming() != "done")


def build_oracle(
    plan: HyperbandPlan,
    config: Config,
    *,
    seed: int,
    bound: TimeBound | None = None,
    epoch_seconds: Callable[[int], float] | None = None,
) -> SearchOracle:
    """The oracle that a configuration asks for; ``epoch_seconds`` as `PlannedOracle` takes it."""
    hyperparameters = keras_tuner.HyperParameters()
    declare_space(hyperparameters, config.space)
    common = {"hyperparameters": hyperparameters, "seed": seed, "bound": bound}
    if config.search.tuner == "bayesian":
        known = known_configurations(config.space)
        return BayesianOracle(max_trials=plan.trials, epochs=plan.max_epochs, known=known, **common)
    drawn = draw_configurations(config.space, plan.configurations + plan.spares, seed=seed)
    return PlannedOracle(plan, drawn, epoch_seconds=epoch_seconds, **common)
