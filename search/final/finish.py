"""After the search: retrain the winner, export it, read the held-out patients once, and write everything down."""

from __future__ import annotations

import json
import time

import keras

from search.audit.audit import LeakAudit, audit
from search.boundary.trunk import pooled_features
from search.export.describe import write_run_metadata
from search.export.model import assemble_model, save_model
from search.files.atomic import write_atomic
from search.final.held_out import evaluate_held_out, write_predictions
from search.final.localisation import localise
from search.final.report import write_run_report
from search.final.retrain import retrain
from search.final.stage import FinalModel, FinalStage
from search.plan.protocol import nested_seconds
from search.run_folder.cut_short import cut_short
from search.run_folder.ledger import record_reading
from search.run_folder.lifecycle import complete
from search.screen.progress import RunProgress
from search.trials.tail import TailTrainer, TrainedTail


def retrain_and_export(
    stage: FinalStage, trainer: TailTrainer, progress: RunProgress, *, seeds: int
) -> tuple[TrainedTail, ...]:
    """Train the winner's configuration on all development patients and write the model of the first seed.

    Args:
        stage: What the stations before have made.
        trainer: The compiled tail of the winner's shape.
        progress: Shows what goes on.
        seeds: How many models to train.
    """
    winner = stage.outcome.winner
    epochs = winner.best_epoch or winner.epochs
    with progress.station("retrain") as moved:
        tails = retrain(
            trainer,
            stage.outcome.configuration,
            stage.data,
            stage.settings,
            epochs=epochs,
            seeds=seeds,
            on_epoch=lambda seed, epoch: moved(seed * epochs + epoch, seeds * epochs),
        )
    save_model(_assemble(stage, tails[0]), stage.directory.model_file)
    return tails


def finish(stage: FinalStage, trainer: TailTrainer, progress: RunProgress) -> FinalModel:
    """Retrain, export, evaluate and report.

    Args:
        stage: What the stations before have made.
        trainer: The compiled tail of the winner's shape.
        progress: Shows what goes on.
    """
    tails = retrain_and_export(stage, trainer, progress, seeds=stage.config.retrain.seeds)
    evaluation = evaluate_held_out(stage, trainer, tails, progress)
    readings = record_reading(stage.config.output.runs, stage.split.test_fingerprint, stage.directory.name)
    metrics = {**evaluation.metrics, "mode": stage.config.data.mode, "holdout_readings": len(readings)}
    if stage.config.split.protocol == "holdout":
        others = time.perf_counter() - stage.clock - sum(record.seconds for record in stage.outcome.records)
        metrics["nested_seconds"] = round(
            nested_seconds(stage.outcome.records, stage.config, other_seconds=max(0.0, others))
        )
    with progress.station("localise"):
        localisation = localise(stage, tails[0], evaluation.predictions)
    if localisation.result is not None:
        metrics["localisation"] = localisation.result.as_dict()
    write_predictions(stage, evaluation)
    write_atomic(stage.directory.best / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    write_run_metadata(stage.directory, stage.prepared, stage.split)
    with progress.station("audit"):
        # Only now: the model is exported and evaluated, so what the audit sees of the held-out patients moves nothing.
        found = _audit(stage)
    write_atomic(stage.directory.audit_file, json.dumps(found.as_dict(), indent=2, allow_nan=False) + "\n")
    with progress.station("report"):
        seconds = time.perf_counter() - stage.clock
        write_run_report(stage, evaluation, metrics, found, localisation.overlays, readings=readings, seconds=seconds)
    complete(stage.directory, stage.manifest)
    return FinalModel(stage.directory, stage.demo, metrics, stage.outcome, cut_short(stage.directory))


def _audit(stage: FinalStage) -> LeakAudit:
    sides = {"the search's data": stage.data.patient_ids}
    for number, fold in enumerate(stage.data.folds, start=1):
        for name, rows in zip(("training", "validation"), fold, strict=True):
            sides[f"{name} of fold {number}"] = tuple(stage.data.patient_ids[row] for row in rows)
    return audit(
        stage.films,
        stage.prepared,
        stage.split,
        features=pooled_features(stage.data.banks, stage.architecture, stage.weights),
        sides=sides,
        probes=stage.probes,
        seed=stage.config.split.seed,
    )


def _assemble(stage: FinalStage, tail: TrainedTail) -> keras.Model:
    return assemble_model(
        stage.architecture,
        stage.weights,
        tail,
        image_size=stage.config.preparation.image_size,
        head_width=stage.outcome.configuration.head_width,
        n_classes=len(stage.data.class_names),
    )
