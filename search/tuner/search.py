"""The search itself: plan and development data in, trial records and the winner out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import keras_tuner

from reports.trials import TrialRecord, best_run
from search.config.schema import Config
from search.machine.failures import machine_failures_in_one_line
from search.plan.execution import SearchListener, SearchOutcome, TimeBound, time_bound
from search.plan.hyperband import HyperbandPlan
from search.plan.space import Configuration, declare_space, draw_configurations, known_configurations
from search.trials.data import TrainingSettings, TrialData
from search.trials.worker import TrainerPool
from search.tuner.bayesian import BayesianOracle
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
) -> SearchOutcome:
    """Carry out a plan.

    Args:
        plan: The plan.
        config: Gives space, seed, kind of search and bound of time.
        data: What the trials read.
        settings: What is constant over them.
        trainers: Compiled tails.
        run_directory: Where it is written down.
        listener: Is told of every epoch and run.
        finished: Runs of an earlier part of the search.
        ended_after: How many runs there were when the search ended by the time, if it has.

    Raises:
        RunError: If three runs in a row failed, or the run's folder can't be written; either way the search can go on
            when the cause is mended.
        ReportError: If no run ended with a score.
    """
    keras.utils.set_random_seed(settings.seed)
    bound = time_bound(config.search.max_minutes, finished, runs=ended_after)
    with machine_failures_in_one_line(run_directory, batch_size=settings.batch_size):
        oracle = build_oracle(plan, config, seed=settings.seed, bound=bound)
        tuner = MammoTuner(
            oracle,
            trainer_of=trainers,
            data=data,
            settings=settings,
            run_directory=run_directory,
            listener=listener,
            finished=without_last_failures(finished) if ended_after is None else finished,
        )
        try:
            tuner.search(verbose=0)
        except keras_tuner.errors.FatalError as fatal:
            raise (fatal.__cause__ or fatal) from None
    winner = best_run(tuner.records)
    return SearchOutcome(
        tuple(tuner.records),
        winner,
        Configuration.from_values(winner.hyperparameters),
        cut_short=not oracle.is_done and bound.is_reached(len(tuner.records)),
    )


def build_oracle(plan: HyperbandPlan, config: Config, *, seed: int, bound: TimeBound | None = None) -> SearchOracle:
    """The oracle that a configuration asks for."""
    hyperparameters = keras_tuner.HyperParameters()
    declare_space(hyperparameters, config.space)
    if config.search.tuner == "bayesian":
        return BayesianOracle(
            hyperparameters=hyperparameters,
            max_trials=plan.runs,
            epochs=plan.max_epochs,
            seed=seed,
            known=known_configurations(config.space),
            bound=bound,
        )
    return PlannedOracle(
        plan,
        draw_configurations(config.space, plan.configurations + plan.spares, seed=seed),
        hyperparameters=hyperparameters,
        seed=seed,
        bound=bound,
    )
