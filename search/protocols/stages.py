"""The stations of a job that its protocols share: backbone, search, and what the final stage is given.

The station between the first two, the banks, is in `search.protocols.banks`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from search.bit.precision import choose_precision
from search.config.schema import Config, cache_directory
from search.machine.device import device_description, processor_name
from search.machine.libraries import start_tensorflow
from search.plan.hyperband import HyperbandPlan
from search.protocols.job import Backbone, Job, Searched
from search.run_folder.directory import RunDirectory
from search.run_folder.trial_log import drop_torn_line, read_records
from search.screen.progress import RunProgress
from search.text import printable

if TYPE_CHECKING:
    from reports.trials import TrialRecord
    from search.audit.shortcuts import Probe
    from search.cohort import JobData
    from search.final.stage import FinalStage
    from search.trials.data import TrainingSettings, TrialData
    from search.trials.worker import TrainerPool


def resolve_backbone(config: Config, directory: RunDirectory, progress: RunProgress) -> Backbone:
    """Start TensorFlow, get the weights and settle the precision.

    Args:
        config: Names both.
        directory: The run's folder; a run that goes on keeps the precision that it began with.
        progress: Shows what was found.

    Raises:
        UserError: If the weights or the precision are not to be had.
    """
    from search.bit.family import architecture_of
    from search.bit.resolve import backbone_weights

    with progress.station("starting", brief=True):
        start_tensorflow(deterministic=config.search.deterministic)
    architecture = architecture_of(config.backbone.name)
    with progress.station("weights", brief=True):
        weights = backbone_weights(config.backbone.name, config.backbone.weights, seed=config.backbone.weights_seed)
    device = device_description()
    before = directory.read_manifest() if directory.manifest_file.is_file() else {}
    with progress.station("precision", brief=True):
        precision = choose_precision(
            config.search.precision, began_with=before.get("precision", {}).get("name"), cache=cache_directory(config)
        )
    here = processor_name()
    began_on = printable(before.get("processor", here))
    if began_on != here and device.startswith("CPU"):
        progress.say(f"[yellow]begun on another processor ({escape(began_on)}); from here on last digits may differ[/]")
    progress.fact("device", f"{device}, {precision.name} ({precision.reason})")
    progress.fact("backbone", f"{config.backbone.name}, {weights.provenance}")
    progress.fact("", weights.verification, style="" if weights.genuine else "yellow")
    return Backbone(architecture, weights, precision, device)


def search_trials(
    job: Job,
    data: TrialData,
    directory: RunDirectory,
    manifest: dict[str, Any],
    trainers: TrainerPool | None = None,
) -> Searched:
    """Carry out the plan, or the rest of it.

    Args:
        job: Gives configuration, plan and backbone.
        data: What its trials read.
        directory: Where it is written down.
        manifest: Its run.json; where time ended the search, that is added.
        trainers: Compiled tails of another search of the same shapes, to be used again.
    """
    from search.protocols.expected_cost import rough_cost_model
    from search.screen.state import search_board
    from search.trials.worker import TrainerPool
    from search.tuner.search import run_search

    config = job.config
    settings = training_settings(config, job.plan, data)
    finished = finished_runs(directory, job.progress)
    if trainers is None:
        trainers = TrainerPool(
            job.backbone.architecture,
            job.backbone.weights,
            data,
            optimizer=config.search.optimizer,
            dtype=job.backbone.precision.tail_policy,
        )
    board = search_board(config, job.plan, rough_cost_model(config, job.backbone, len(data.labels)), finished)
    with job.progress.search(board):
        outcome = run_search(
            job.plan,
            config,
            data,
            settings,
            trainers=trainers,
            run_directory=directory.path,
            listener=job.progress,
            finished=finished,
            ended_after=manifest.get("ended_after"),
        )
    if config.search.max_minutes is not None and "ended_after" not in manifest:
        manifest["ended_after"] = len(outcome.records)
        if outcome.cut_short:
            manifest["cut_short"] = True
        directory.write_manifest(manifest)
    return Searched(data, settings, outcome, trainers)


def training_settings(config: Config, plan: HyperbandPlan, data: TrialData) -> TrainingSettings:
    """What is constant over the trials of a search, as the configuration has it.

    Args:
        config: The configuration.
        plan: Gives the full budget.
        data: Gives the number of training images, where the configuration leaves the steps of an epoch to it.
    """
    from search.trials.data import TrainingSettings

    training_images = max(len(training) for training, _ in data.folds)
    return TrainingSettings(
        seed=config.search.seed,
        batch_size=config.search.batch_size,
        steps_per_epoch=config.search.steps_per_epoch or -(-training_images // config.search.batch_size),
        full_epochs=plan.max_epochs,
        schedule=config.search.schedule,
        minority=config.search.minority,
        head_init=config.search.head_init,
        backbone_lr_factor=config.search.backbone_lr_factor,
    )


def finished_runs(directory: RunDirectory, progress: RunProgress) -> tuple[TrialRecord, ...]:
    """Runs of an earlier part of a search."""
    if drop_torn_line(directory.trials_file):
        progress.say("[yellow]trials.jsonl ended in half a line; that run is trained again[/yellow]")
    if not directory.trials_file.is_file():
        return ()
    records = read_records(directory.trials_file)
    if records:
        progress.say(f"resuming after {len(records)} finished run{'s' if len(records) != 1 else ''}")
    return records


def final_stage(
    job: Job,
    data: JobData,
    searched: Searched,
    *,
    directory: RunDirectory,
    manifest: dict[str, Any],
    clock: float,
    probes: Callable[[], tuple[Probe, ...]] | None = None,
) -> FinalStage:
    """What the final stage is given.

    Args:
        job: Gives the rest.
        data: What the search was given, and the split.
        searched: The search.
        directory: The folder of the run.
        manifest: Its manifest.
        clock: ``time.perf_counter()`` when the run started.
        probes: The shortcut probe, where other searches on the same images ask for it, too.
    """
    from search.final.stage import FinalStage

    return FinalStage(
        config=job.config,
        demo=job.request.demo,
        directory=directory,
        manifest=manifest,
        plan=job.plan,
        films=data.films,
        prepared=data.prepared,
        split=data.split,
        architecture=job.backbone.architecture,
        weights=job.backbone.weights,
        data=searched.data,
        settings=searched.settings,
        outcome=searched.outcome,
        clock=clock,
        probes=probes,
    )
