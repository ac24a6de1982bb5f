"""The final stage: retrain the winner, export it, read the held-out patients once, and write everything down."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict

from search.audit.audit import LeakAudit, audit
from search.audit.shortcuts import Probe
from search.bit.resolve import Backbone
from search.boundary.trunk import pooled_features
from search.cohort import Cohort
from search.export.describe import write_run_metadata
from search.export.model import assemble_model, save_model
from search.files.atomic import write_atomic
from search.final.held_out import held_out, write_predictions
from search.final.localisation import localise
from search.final.report import FinalModel, RunReport
from search.final.retrain import retrain
from search.final.saliency import SaliencyModel
from search.job import Job
from search.plan.execution import SearchOutcome
from search.plan.protocol import nested_seconds
from search.run_folder.cut_short import cut_short
from search.run_folder.ledger import record_reading
from search.run_folder.lifecycle import complete
from search.screen.progress import RunProgress
from search.trials.data import TrainingSettings, TrialData
from search.trials.tail import TailTrainer, TrainedTail


def retrain_and_export(
    job: Job,
    backbone: Backbone,
    data: TrialData,
    settings: TrainingSettings,
    outcome: SearchOutcome,
    trainer: TailTrainer,
    progress: RunProgress,
    *,
    seeds: int,
) -> tuple[TrainedTail, ...]:
    """Train the winner's configuration on all development patients and write the model of the first seed.

    Args:
        job: The run.
        backbone: The pretrained network.
        data: Development data.
        settings: What was constant over the trials.
        outcome: What the search has found.
        trainer: The compiled tail of the winner's shape.
        progress: Shows what goes on.
        seeds: How many models to train.
    """
    winner = outcome.winner
    epochs = winner.best_epoch or winner.epochs
    with progress.station("retrain") as moved:
        tails = retrain(
            trainer,
            outcome.configuration,
            data,
            settings,
            epochs=epochs,
            seeds=seeds,
            on_epoch=lambda seed, epoch: moved(seed * epochs + epoch, seeds * epochs),
        )
    model = assemble_model(
        backbone.architecture,
        backbone.weights,
        tails[0],
        image_size=job.config.preparation.image_size,
        head_width=outcome.configuration.head_width,
        n_classes=len(data.class_names),
    )
    save_model(model, job.directory.model_file)
    return tails


def finish(
    job: Job,
    backbone: Backbone,
    cohort: Cohort,
    data: TrialData,
    settings: TrainingSettings,
    outcome: SearchOutcome,
    trainer: TailTrainer,
    progress: RunProgress,
    *,
    clock: float,
    probes: Callable[[], tuple[Probe, ...]] | None = None,
) -> FinalModel:
    """Retrain, export, evaluate and report.

    Args:
        job: The run.
        backbone: The pretrained network.
        cohort: Who the search was about.
        data: Development data.
        settings: What was constant over the trials.
        outcome: What the search has found.
        trainer: The compiled tail of the winner's shape.
        progress: Shows what goes on.
        clock: ``time.perf_counter()`` when the run started.
        probes: Gives the shortcut probe, where it is shared with other searches on the same images.
    """
    config, directory = job.config, job.directory
    tails = retrain_and_export(job, backbone, data, settings, outcome, trainer, progress, seeds=config.retrain.seeds)
    seed = config.split.seed
    evaluation = held_out(directory, backbone, cohort, data, settings, outcome, trainer, tails, progress, seed=seed)
    readings = record_reading(config.output.runs, cohort.split.test_fingerprint, directory.name)
    metrics = {**evaluation.metrics, "mode": config.data.mode, "holdout_readings": len(readings)}
    if config.split.protocol == "holdout":
        others = time.perf_counter() - clock - sum(record.seconds for record in outcome.records)
        metrics["nested_seconds"] = round(nested_seconds(outcome.records, config, other_seconds=max(0.0, others)))
    with progress.station("localise"):
        model = SaliencyModel(
            backbone.architecture,
            backbone.weights,
            tails[0],
            unfreeze_depth=outcome.configuration.unfreeze_depth,
            image_size=config.preparation.image_size,
            head_width=outcome.configuration.head_width,
            n_classes=len(data.class_names),
        )
        localisation = localise(model, cohort, evaluation.predictions, directory.figures, seed=seed)
    if localisation.result is not None:
        metrics["localisation"] = asdict(localisation.result)
    write_predictions(directory, evaluation)
    write_atomic(directory.best / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    write_run_metadata(directory, cohort.prepared, cohort.split)
    with progress.station("audit"):
        # Only now: the model is exported and evaluated, so what the audit sees of the held-out patients moves nothing.
        found = _audit(job, backbone, cohort, data, probes)
    write_atomic(directory.audit_file, json.dumps(found.as_dict(), indent=2, allow_nan=False) + "\n")
    with progress.station("report"):
        report = RunReport(job, cohort, outcome, settings, metrics, found, genuine=backbone.weights.genuine)
        report.write(evaluation, localisation.overlays, readings, seconds=time.perf_counter() - clock)
    complete(directory)
    return FinalModel(directory, job.demo, metrics, outcome, cut_short(directory))


def _audit(
    job: Job,
    backbone: Backbone,
    cohort: Cohort,
    data: TrialData,
    probes: Callable[[], tuple[Probe, ...]] | None,
) -> LeakAudit:
    sides = {"the search's data": data.patient_ids}
    for number, fold in enumerate(data.folds, start=1):
        for name, rows in zip(("training", "validation"), fold, strict=True):
            sides[f"{name} of fold {number}"] = tuple(data.patient_ids[row] for row in rows)
    return audit(
        cohort.films,
        cohort.prepared,
        cohort.split,
        features=pooled_features(data.banks, backbone.architecture, backbone.weights),
        sides=sides,
        probes=probes,
        seed=job.config.split.seed,
    )
