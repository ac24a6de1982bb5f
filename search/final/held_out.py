"""The one reading of the held-out patients: by the exported file, by the other seeds, and by the fold models.

What the evaluation is given beside the held-out predictions: attributes of the cases, and the candidates' scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mammo_data.cases import Case, CaseTable
from reports.evaluation.bbc_cv import SelectionCorrection, bbc_cv
from reports.evaluation.evaluate import Evaluation, evaluate
from reports.evaluation.final_models import FoldEnsemble
from reports.evaluation.subgroups import CaseAttributes, radius_terciles
from reports.predictions import Predictions
from reports.trials import TrialRecord, ranked
from search.export.model import load_exported, predict_images
from search.files.atomic import replacing
from search.final.inference import tail_probabilities
from search.final.retrain import FoldModels, train_fold_models
from search.screen.progress import RunProgress
from search.trials.class_emphasis import training_shares
from search.trials.out_of_fold import OutOfFold, read_every_epoch, read_out_of_fold
from search.trials.tail import TailTrainer, TrainedTail

if TYPE_CHECKING:
    from search.final.stage import FinalStage


def evaluate_held_out(
    stage: FinalStage, trainer: TailTrainer, tails: tuple[TrainedTail, ...], progress: RunProgress
) -> Evaluation:
    """Evaluate what a run has made on the patients that it has not seen.

    The plain metrics are those of the exported file's probabilities; with the prior that training hid put back, and the
    temperature, they stand beside (``calibration`` of metrics.json, predictions_corrected.csv).

    Args:
        stage: What the stations before have made, the exported file included.
        trainer: The compiled tail of the winner's shape.
        tails: The final models, the exported one first.
        progress: Shows what goes on.
    """
    oof, names = stage.directory.path / "oof", stage.data.class_names
    winner, records = stage.outcome.winner, stage.outcome.records
    stored = read_out_of_fold(oof, winner, records, names)
    folds = _fold_models(stage, trainer, stored, progress)
    with progress.station("evaluate"):
        exported = _exported_predictions(stage)
        others, ensemble = _other_models(stage, exported, tails[1:], folds)
        table, seed = stage.prepared.table, stage.config.split.seed
        return evaluate(
            exported,
            development=stored.predictions,
            training_shares=training_shares(stage.settings.minority, len(names)),
            attributes=case_attributes(table.take(stage.split.test_rows(table))),
            radius_cuts=radius_cuts(table.take(stage.split.development_rows(table))),
            selection=selection_correction(oof, records, seed=seed),
            other_seeds=others,
            ensemble=ensemble,
            seed=seed,
        )


def write_predictions(stage: FinalStage, evaluation: Evaluation) -> None:
    """Write predictions.csv, and where there are such predictions_corrected.csv and predictions_ensemble.csv."""
    tables = {
        "predictions": evaluation.predictions,
        "predictions_corrected": evaluation.corrected,
        "predictions_ensemble": evaluation.ensemble.mean if evaluation.ensemble else None,
    }
    for name, table in tables.items():
        if table is not None:
            with replacing(stage.directory.best / f"{name}.csv") as temporary:
                table.write_csv(temporary)


def _fold_models(
    stage: FinalStage, trainer: TailTrainer, stored: OutOfFold, progress: RunProgress
) -> FoldModels | None:
    """The winner's fold models; None where there is but one fold, for a single model is no ensemble."""
    if len(stage.data.folds) < 2:
        return None
    winner = stage.outcome.winner
    epochs = winner.best_epoch or winner.epochs
    with progress.station("ensemble") as moved:
        return train_fold_models(
            trainer,
            winner,
            stage.data,
            stage.settings,
            stored,
            on_epoch=lambda fold, epoch: moved(fold * epochs + epoch, len(stage.data.folds) * epochs),
        )


def _exported_predictions(stage: FinalStage) -> Predictions:
    """What is evaluated is the file that is handed over, opened as anyone would open it."""
    rows = stage.split.test_rows(stage.prepared.table)
    table = stage.prepared.table.take(rows)
    model = load_exported(stage.directory.model_file)
    return Predictions(
        image_ids=table.image_ids,
        patient_ids=table.patient_ids,
        labels=table.labels,
        probabilities=predict_images(model, stage.prepared.images, rows),
        class_names=table.class_names,
    )


def _other_models(
    stage: FinalStage, exported: Predictions, seeds: tuple[TrainedTail, ...], folds: FoldModels | None
) -> tuple[tuple[Predictions, ...], FoldEnsemble | None]:
    members = folds.tails if folds else ()
    found = tail_probabilities(
        stage.architecture,
        stage.weights,
        stage.prepared.images[stage.split.test_rows(stage.prepared.table)],
        (*seeds, *members),
        depth=stage.outcome.configuration.unfreeze_depth,
        head_width=stage.outcome.configuration.head_width,
        n_classes=len(stage.data.class_names),
    )
    tables = tuple(replace(exported, probabilities=probabilities) for probabilities in found)
    ensemble = FoldEnsemble(tables[len(seeds) :], folds.exact) if folds and len(members) > 1 else None
    return tables[: len(seeds)], ensemble


def case_attributes(table: CaseTable) -> dict[str, CaseAttributes]:
    """Tissue, kinds of finding and the largest located finding's radius of each image, by image id."""
    return {case.image_id: _attributes(case) for case in table.cases}


def radius_cuts(development: CaseTable) -> tuple[float, float] | None:
    """The terciles of the development images' radii; None where none has a radius."""
    attributes = case_attributes(development)
    if all(item.radius is None for item in attributes.values()):
        return None
    return radius_terciles(attributes)


def selection_correction(oof: Path, records: Sequence[TrialRecord], *, seed: int) -> SelectionCorrection | None:
    """BBC-CV over every epoch of every full-budget run: the search's score is the largest of all these.

    Args:
        oof: The folder ``oof`` of the search.
        records: All runs, by their number.
        seed: Seed of the draws.

    Returns:
        The correction; None where no run completed.

    Raises:
        RunError: If a file is missing or damaged.
    """
    # In the order of their numbers, not best first: of equal candidates the first one is chosen.
    finalists = sorted(ranked(records), key=lambda record: record.run)
    if not finalists:
        return None
    stored = [read_every_epoch(oof, record, records) for record in finalists]
    return bbc_cv(
        stored[0].labels,
        np.concatenate([run.probabilities for run in stored]),
        stored[0].patient_ids,
        stored[0].folds,
        trials=np.repeat([record.run for record in finalists], [len(run.probabilities) for run in stored]),
        seed=seed,
    )


def _attributes(case: Case) -> CaseAttributes:
    radii = [finding.film_radius for finding in case.findings if finding.film_radius is not None]
    return CaseAttributes(
        tissue=case.tissue,
        abnormalities=tuple(finding.abnormality for finding in case.findings if finding.abnormality),
        radius=max(radii, default=None),
    )
