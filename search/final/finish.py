"""The final stage: retrain the winner, export it, read the held-out patients once, and write everything down."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict

from search.audit.audit import LeakAudit, audit
from search.audit.shortcuts import Probe
from search.cohort import Cohort
from search.export.describe import write_run_metadata
from search.export.model import assemble_model, save_model
from search.files.atomic import write_atomic
from search.final.final_model import FinalModel
from search.final.held_out import held_out, write_predictions
from search.final.inference import FinalNetwork
from search.final.localisation import localise
from search.final.report import RunReport
from search.final.retrain import Searched, retrain
from search.final.saliency import SaliencyModel
from search.job import Job
from search.plan.protocol import nested_seconds
from search.run_folder.cut_short import cut_short
from search.run_folder.ledger import record_reading
from search.run_folder.lifecycle import complete
from search.screen.progress import RunProgress
from search.trials.tail import TrainedTail


def retrain_and_export(
    job: Job, searched: Searched, progress: RunProgress, *, seeds: int
) -> tuple[FinalNetwork, tuple[TrainedTail, ...]]:
    """Train the winner's configuration on all development patients and write the model of the first seed.

    Args:
        job: The run.
        searched: The search.
        progress: Shows what goes on.
        seeds: How many models to train.

    Returns:
        The winner's network, and what each seed has trained of it.
    """
    epochs, network = searched.epochs, searched.network(job.config.preparation.image_size)
    with progress.station("retrain") as moved:
        tails = retrain(
            searched.trainer,
            searched.outcome.configuration,
            searched.data,
            searched.settings,
            epochs=epochs,
            seeds=seeds,
            on_epoch=lambda seed, epoch: moved(seed * epochs + epoch, seeds * epochs),
        )
    model = assemble_model(
        network.architecture,
        network.weights,
        tails[0],
        image_size=network.image_size,
        head_width=network.head_width,
        n_classes=network.n_classes,
    )
    save_model(model, job.directory.model_file)
    return network, tails


def finish(
    job: Job,
    cohort: Cohort,
    searched: Searched,
    progress: RunProgress,
    *,
    clock: float,
    probes: Callable[[], tuple[Probe, ...]] | None = None,
) -> FinalModel:
    """Retrain, export, evaluate and report.

    Args:
        job: The run.
        cohort: Who the search was about.
        searched: The search.
        progress: Shows what goes on.
        clock: ``time.perf_counter()`` when the run started.
        probes: Gives the shortcut probe, where it is shared with other searches on the same images.
    """
    config, directory, outcome = job.config, job.directory, searched.outcome
    network, tails = retrain_and_export(job, searched, progress, seeds=config.retrain.seeds)
    seed = config.split.seed
    evaluation = held_out(directory, network, cohort, searched, tails, progress, seed=seed)
    readings = record_reading(config.output.runs, cohort.split.test_fingerprint, directory.name)
    metrics = {**evaluation.metrics, "mode": config.data.mode, "holdout_readings": len(readings)}
    if config.split.protocol == "holdout":
        others = time.perf_counter() - clock - sum(record.seconds for record in outcome.records)
        metrics["nested_seconds"] = round(nested_seconds(outcome.records, config, other_seconds=max(0.0, others)))
    with progress.station("localise"):
        model = SaliencyModel(network, tails[0])
        localisation = localise(model, cohort, evaluation.predictions, directory.figures, seed=seed)
    if localisation.result is not None:
        metrics["localisation"] = asdict(localisation.result)
    tables = {"predictions": evaluation.predictions, "predictions_corrected": evaluation.corrected}
    ensemble = evaluation.ensemble.mean if evaluation.ensemble else None
    write_predictions(directory, {**tables, "predictions_ensemble": ensemble})
    write_atomic(directory.best / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    write_run_metadata(directory, cohort.prepared, cohort.split)
    with progress.station("audit"):
        # Only now: the model is exported and evaluated, so what the audit sees of the held-out patients moves nothing.
        found = _audit(cohort, searched, probes, seed=seed)
    write_atomic(directory.audit_file, json.dumps(found.as_dict(), indent=2, allow_nan=False) + "\n")
    with progress.station("report"):
        report = RunReport(job, cohort, outcome, searched.settings, metrics, found, network.weights.genuine)
        report.write(evaluation, localisation.overlays, readings, seconds=time.perf_counter() - clock)
    complete(directory)
    return FinalModel(directory, job.demo, metrics, outcome, cut_short(directory))


def _audit(
    cohort: Cohort, searched: Searched, probes: Callable[[], tuple[Probe, ...]] | None, *, seed: int
) -> LeakAudit:
    data = searched.data
    sides = {"the search's data": data.patient_ids}
    for number, fold in enumerate(data.folds, start=1):
        for name, rows in zip(("training", "validation"), fold, strict=True):
            sides[f"{name} of fold {number}"] = tuple(data.patient_ids[row] for row in rows)
    films, prepared, features = cohort.films, cohort.prepared, searched.pooled_features()
    return audit(films, prepared, cohort.split, features=features, sides=sides, probes=probes, seed=seed)
