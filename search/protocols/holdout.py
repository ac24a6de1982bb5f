"""The hold-out protocol: some patients are set aside, one search on the others, one evaluation on those.

Its stages, the backbone and the search, are those of each search of the nested protocol, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from mammo_data import CaseTable, Split
from reports import TrialRecord
from search.bit.family import architecture_of
from search.bit.precision import choose_precision
from search.bit.precision_probe import bfloat16_gain
from search.bit.resolve import Backbone, backbone_weights
from search.cohort import Cohort
from search.config.schema import Config, cache_directory
from search.final.finish import finish
from search.final.retrain import Searched
from search.job import Job
from search.machine.libraries import device_description
from search.plan.clock import search_clock
from search.plan.cost import CostModel
from search.plan.device_memory import MemoryDemand
from search.plan.hyperband import HyperbandPlan
from search.plan.protocol import require_planned
from search.protocols.banks import own_banks
from search.protocols.manifest import run_manifest
from search.run_folder.directory import RunDirectory
from search.run_folder.lifecycle import begin_or_resume, devices_in_words
from search.run_folder.manifest import Manifest
from search.run_folder.trial_log import drop_torn_line, read_records
from search.screen.progress import RunProgress
from search.trials.checkpoints import load_state
from search.trials.data import TrainingSettings, TrialData
from search.trials.schedule import bit_learning_rate
from search.trials.worker import TrainerPool, Worker, folds_at_work
from search.tuner.executors.base import Executor
from search.tuner.executors.in_process import InProcessExecutor
from search.tuner.search import run_search


def run_holdout(
    job: Job, cohort: Cohort, progress: RunProgress, executor_of: Callable[[Worker], Executor] = InProcessExecutor
) -> None:
    """Search on the development patients, retrain, export, and evaluate on the held-out ones.

    Args:
        job: What was asked for.
        cohort: Who is developed on, and who is held out.
        progress: Shows what goes on.
        executor_of: Makes who trains.

    Raises:
        UserError: If the weights, the search or the run's folder are not as they have to be.
    """
    backbone = resolve_backbone(job.config, job.directory, progress)
    progress.fact("data", cohort.describe())
    begin(job, run_manifest(job, backbone, cohort), cohort.split, cohort.films.table, progress)
    clock = time.perf_counter()
    data = own_banks(job, backbone, cohort, progress)
    searched = search_trials(job, backbone, data, trainer_pool(job.config, backbone, data), progress, executor_of)
    finish(job, cohort, searched, progress, clock=clock)


def begin(job: Job, manifest: Manifest, split: Split, films: CaseTable, progress: RunProgress) -> Manifest:
    """`begin_or_resume` for a job; says where the run goes on with another device."""
    standing = begin_or_resume(job.directory, manifest, job.config, split, films, accept_device=job.accept_device)
    if standing.devices:
        progress.note(f"computed on {devices_in_words(standing)}")
    return standing


def resolve_backbone(config: Config, directory: RunDirectory, progress: RunProgress) -> Backbone:
    """Get the weights and settle the precision.

    Args:
        config: Names both.
        directory: The run's folder; a run that goes on keeps the precision that it began with.
        progress: Shows what was found.

    Raises:
        UserError: If the weights or the precision are not to be had.
    """
    architecture = architecture_of(config.backbone.name)
    with progress.station("weights, MB", brief=True, unit=10**6) as moved:
        weights = backbone_weights(
            config.backbone.name,
            config.backbone.weights,
            seed=config.backbone.weights_seed,
            progress=moved,
            say=partial(progress.fact, "weights"),
        )
    device = device_description()
    before = directory.read_manifest() if directory.has_manifest else None
    began_with = before.precision.name if before else None
    with progress.station("precision", brief=True):
        precision = choose_precision(
            config.search.precision, gain=lambda: bfloat16_gain(cache_directory(config)), began_with=began_with
        )
    progress.fact("device", f"{device}, {precision.name} ({precision.reason})")
    progress.fact("backbone", f"{config.backbone.name}, {weights.provenance}")
    progress.fact("", weights.verification, style="" if weights.genuine else "yellow")
    return Backbone(architecture, weights, precision, device)


def trainer_pool(config: Config, backbone: Backbone, data: TrialData) -> TrainerPool:
    """Compiled tails for a search, and for others of the same shapes."""
    return TrainerPool(
        backbone.architecture,
        backbone.weights,
        data,
        optimizer=config.search.optimizer,
        dtype=backbone.precision.tail_policy,
        demand=MemoryDemand(config, backbone.precision.name),
    )


def search_trials(
    job: Job,
    backbone: Backbone,
    data: TrialData,
    trainers: TrainerPool,
    progress: RunProgress,
    executor_of: Callable[[Worker], Executor] = InProcessExecutor,
) -> Searched:
    """Carry out the plan, or the rest of it.

    Args:
        job: The run, begun; where time ends its search, its manifest says so from then on.
        backbone: The pretrained network.
        data: What the trials read.
        trainers: Compiled tails.
        progress: Is told of every epoch and trial.
        executor_of: Makes who trains.
    """
    config, directory, settings = job.config, job.directory, training_settings(job.config, job.plan, data)
    ended_after = directory.read_manifest().ended_after
    finished = finished_trials(directory, progress)
    require_planned(finished, job.plan, config)
    here = progress.clock.here
    if job.worker_count > 1:
        progress.clock.whole = False  # what several take, each with a part of the cores, teaches nothing of one
    clock = search_clock(
        config, job.plan, CostModel(here.epochs), finished, builds=here.builds, workers=job.worker_count
    )

    def seen(worker: Worker) -> Executor:
        executor = executor_of(worker)
        clock.at_work = lambda: folds_at_work(executor.at_work())
        return executor

    with progress.search(clock):
        outcome = run_search(
            job.plan,
            config,
            data,
            settings,
            trainers=trainers,
            run_directory=directory.path,
            listener=progress,
            finished=finished,
            ended_after=ended_after,
            executor_of=seen,
            epoch_seconds=clock.costs.seconds,
        )
    if config.search.max_minutes is not None and ended_after is None:
        directory.update_manifest(ended_after=len(outcome.records), cut_short=outcome.cut_short)
    state_of_fold = partial(load_state, directory.checkpoints, outcome.winner.trial)
    executor = executor_of(Worker(data, settings, trainers, directory.path))
    return Searched(backbone, data, settings, outcome, trainers, executor, state_of_fold)


def training_settings(config: Config, plan: HyperbandPlan, data: TrialData) -> TrainingSettings:
    """What is constant over the trials of a search, as the configuration has it.

    Args:
        config: The configuration.
        plan: Gives the full budget.
        data: Gives the number of training images, where the configuration leaves the steps of an epoch to it.
    """
    search, training_images = config.search, max(len(training) for training, _ in data.folds)
    return TrainingSettings(
        seed=search.seed,
        batch_size=search.batch_size,
        steps_per_epoch=search.steps_per_epoch or -(-training_images // search.batch_size),
        full_epochs=plan.max_epochs,
        schedule=search.schedule,
        minority=search.minority,
        head_init=search.head_init,
        backbone_lr_factor=search.backbone_lr_factor,
        most_backbone_rate=search.backbone_lr_cap * bit_learning_rate(search.batch_size),
    )


def finished_trials(directory: RunDirectory, progress: RunProgress) -> tuple[TrialRecord, ...]:
    """Trials of an earlier part of a search."""
    if drop_torn_line(directory.trials_file):
        progress.say("[yellow]trials.jsonl ended in half a line; that trial is trained again[/yellow]")
    records = read_records(directory.trials_file) if directory.trials_file.is_file() else ()
    if records:
        progress.say(f"resuming after {len(records)} finished trial{'s' if len(records) != 1 else ''}")
    return records
