"""The final stage: retrain the winner, export it, read the held-out patients once, and write everything down.

What takes long is kept as it is done (`search.final.kept`): killed anywhere, the stage goes on behind it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from reports.evaluation.baselines import predictions_name
from search.audit.audit import LeakAudit, audit
from search.audit.shortcuts import Probe, shortcut_probes
from search.cohort import Cohort
from search.export.describe import write_run_metadata
from search.export.model import save_model
from search.files.atomic import write_atomic
from search.files.digests import content_checksum
from search.files.tensors import Arrays
from search.final.baselines.train import train_baselines
from search.final.finalists import read_finalists
from search.final.held_out import held_out, read_under_other_splits, write_predictions
from search.final.inference import FinalNetwork
from search.final.kept import FinalStore, Form, as_json
from search.final.localisation import kept_form, localise
from search.final.report import RunReport, draw_search
from search.final.retrain import Searched, train_final_models
from search.final.saliency import SaliencyModel
from search.job import Job
from search.machine.beside import Beside
from search.plan.cost import CostModel
from search.plan.forecast import forecast, search_sizes
from search.plan.job_clock import JobClock, among
from search.plan.space import recorded_dimensions
from search.run_folder.lifecycle import complete
from search.screen.progress import RunProgress
from search.trials.checkpoints import keep_only
from search.trials.tail import TrainedTail


def retrain_and_export(
    job: Job, searched: Searched, store: FinalStore, progress: RunProgress, *, seeds: int
) -> tuple[FinalNetwork, tuple[TrainedTail, ...], str]:
    """Train the winner's configuration on all development patients and write the model of the first seed.

    Args:
        job: The run.
        searched: The search.
        store: Keeps each model, and that of the first seed is in its file.
        progress: Shows what goes on.
        seeds: How many models to train.

    Returns:
        The winner's network, what each seed has trained of it, and the SHA-256 (hex) of the model's file.
    """
    network = searched.network(job.config.preparation.image_size)
    with progress.station("retrain") as moved:
        tails = train_final_models(searched, store, seeds=seeds, moved=moved)
    file = job.directory.model_file
    written = store.kept("exported", _file_form(file), partial(_export, network, tails[0], file), tails[0].fingerprint)
    return network, tails, written


def _export(network: FinalNetwork, tail: TrainedTail, file: Path) -> str:
    save_model(network.assembled(tail), file)
    return content_checksum(file)


def _file_form(file: Path) -> Form[str]:
    """A file that was written, by its checksum: one that has changed since is written again."""

    def unpack(arrays: Arrays) -> str:
        written = str(arrays["sha256"])
        if not file.is_file() or content_checksum(file) != written:
            raise ValueError("not the file that was written")
        return written

    return Form(lambda written: {"sha256": np.array(written)}, unpack)


def finish(
    job: Job,
    cohort: Cohort,
    searched: Searched,
    progress: RunProgress,
    *,
    clock: float,
    probes: Callable[[], tuple[Probe, ...]] | None = None,
) -> None:
    """Retrain, export, evaluate and report.

    Args:
        job: The run.
        cohort: Who the search was about.
        searched: The search.
        progress: Shows what goes on.
        clock: ``time.perf_counter()`` when the run started.
        probes: Gives the shortcut probe, where it is shared with other searches on the same images.
    """
    with Beside(job.directory.log_file) as beside:
        _finish(job, cohort, searched, progress, beside, clock=clock, probes=probes)


def _finish(
    job: Job,
    cohort: Cohort,
    searched: Searched,
    progress: RunProgress,
    beside: Beside,
    *,
    clock: float,
    probes: Callable[[], tuple[Probe, ...]] | None,
) -> None:
    config, directory, outcome = job.config, job.directory, searched.outcome
    seed, store = config.split.seed, FinalStore(directory, progress.say)
    # Neither needs a model, or TensorFlow: they are made while this process has it at work.
    probes = probes or _probes_beside(beside, store, cohort, seed)
    dimensions = recorded_dimensions(directory.read_manifest().settings)
    search_figures = beside.begin(draw_search, outcome.records, dimensions, directory.figures)
    network, tails, exported = retrain_and_export(job, searched, store, progress, seeds=config.retrain.seeds)
    baselines = train_baselines(config, cohort, searched, store, progress)
    finalists = read_finalists(directory.path / "oof", outcome.records, searched.data.class_names)
    evaluation, readings = held_out(
        directory, network, cohort, searched, finalists, tails, baselines, store, progress, exported=exported, seed=seed
    )
    metrics = {**evaluation.metrics, "mode": config.data.mode, "holdout_readings": len(readings)}
    metrics["other_splits"] = asdict(read_under_other_splits(directory, cohort))
    metrics |= finalists.about()
    if config.split.protocol == "holdout":
        metrics["nested_seconds"] = round(_nested_seconds(job, cohort, searched, progress.clock))
    with progress.station("localise"):
        localisation = store.kept(
            "localisation",
            kept_form(directory.figures),
            lambda: localise(
                SaliencyModel(network, tails[0]), cohort, evaluation.predictions, directory.figures, seed=seed
            ),
            exported,
        )
    if localisation.result is not None:
        metrics["localisation"] = asdict(localisation.result)
    tables = {"predictions": evaluation.predictions, "predictions_corrected": evaluation.corrected}
    tables |= {predictions_name(each.name): each.held_out[0] for each in evaluation.baselines}
    ensemble = evaluation.ensemble.mean if evaluation.ensemble else None
    write_predictions(directory, {**tables, "predictions_ensemble": ensemble})
    write_atomic(directory.best / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    write_run_metadata(directory, cohort.prepared, cohort.split)
    with progress.station("audit"):
        # Only now: the model is exported and evaluated, so what the audit sees of the held-out patients moves nothing.
        found = store.kept("audit", as_json(LeakAudit), partial(_audit, cohort, searched, probes, seed=seed))
    write_atomic(directory.audit_file, json.dumps(found.as_dict(), indent=2, allow_nan=False) + "\n")
    with progress.station("report"):
        genuine = network.weights.genuine
        report = RunReport(job, cohort, outcome, searched.settings, metrics, found, genuine, search_figures)
        report.write(evaluation, localisation.overlays, readings, seconds=time.perf_counter() - clock)
    complete(directory)
    store.forget()
    keep_only(directory.checkpoints, ())


def _nested_seconds(job: Job, cohort: Cohort, searched: Searched, clock: JobClock) -> float:
    """What the nested protocol would take here, by the epochs that this search has measured."""
    nested = job.config.model_copy(update={"split": job.config.split.model_copy(update={"protocol": "nested"})})
    backbone, images = searched.backbone, len(cohort.prepared.table)
    costs = CostModel()
    costs.learn_from(searched.outcome.records, len(searched.data.folds))
    views = sum(next(iter(searched.data.banks.values())).view_counts) * images // len(searched.data.labels)
    expected = forecast(
        nested,
        job.plan,
        backbone.architecture,
        search_sizes(nested, images, 0),
        views=int(views),
        precision=backbone.precision.name,
    )
    # These epochs are one worker's already.
    crew = replace(job.crew, slower=1.0)
    return among(expected.on(clock.speed_in(costs)), nested, job.plan, crew).seconds()


def _probes_beside(beside: Beside, store: FinalStore, cohort: Cohort, seed: int) -> Callable[[], tuple[Probe, ...]]:
    if store.holds("probes"):
        return partial(kept_probes, store, cohort, seed)
    made = beside.begin(shortcut_probes, cohort.prepared, seed)
    return lambda: store.kept("probes", as_json(tuple[Probe, ...]), made)


def kept_probes(store: FinalStore, cohort: Cohort, seed: int) -> tuple[Probe, ...]:
    """The shortcut probe of all images, which takes longest of an audit, as it was kept or made now."""
    return store.kept("probes", as_json(tuple[Probe, ...]), partial(shortcut_probes, cohort.prepared, seed))


def _audit(cohort: Cohort, searched: Searched, probes: Callable[[], tuple[Probe, ...]], *, seed: int) -> LeakAudit:
    data = searched.data
    sides = {"the search's data": data.patient_ids}
    for number, fold in enumerate(data.folds, start=1):
        for name, rows in zip(("training", "validation"), fold, strict=True):
            sides[f"{name} of fold {number}"] = tuple(data.patient_ids[row] for row in rows)
    films, prepared, features = cohort.films, cohort.prepared, searched.pooled_features()
    return audit(films, prepared, cohort.split, features=features, sides=sides, probes=probes, seed=seed)
