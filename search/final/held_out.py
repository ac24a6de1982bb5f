"""The one reading of the held-out patients: by the exported file, by the other seeds, the fold models and baselines.

Beside the predictions the evaluation is given attributes of the cases, and the scores of all candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mammo_data import CaseTable, Split
from reports import (
    CaseAttributes,
    Evaluation,
    FoldEnsemble,
    Predictions,
    evaluate,
    radius_terciles,
)
from search.cohort import Cohort
from search.export.model import load_exported, predict_images
from search.files.atomic import replacing
from search.files.tensors import Arrays
from search.final.baselines.baseline import Baselines, with_answer
from search.final.finalists import Finalists
from search.final.inference import FinalNetwork
from search.final.kept import FinalStore, Form
from search.final.retrain import FoldModels, Searched, train_fold_models
from search.run_folder.directory import RunDirectory
from search.run_folder.ledger import OtherSplits, Reading, other_splits, record_final_stage
from search.screen.progress import RunProgress
from search.trials.data import training_shares
from search.trials.tail import TrainedTail


def held_out(
    directory: RunDirectory,
    network: FinalNetwork,
    cohort: Cohort,
    searched: Searched,
    finalists: Finalists,
    tails: tuple[TrainedTail, ...],
    baselines: Baselines,
    store: FinalStore,
    progress: RunProgress,
    *,
    exported: str,
    seed: int,
) -> tuple[Evaluation, tuple[Reading, ...]]:
    """Evaluate what a run has made on the patients that it has not seen.

    The plain metrics are those of the exported file's probabilities; those of the corrected ones stand beside
    (``calibration`` of metrics.json, predictions_corrected.csv). Where no correction helped out of fold they are equal.

    The reading goes into the ledger before a model is given an image, with the names of all models that read: killed
    after it, the stage reads for the same line, or not again where the probabilities were kept.

    Args:
        directory: The run's folder, with the exported model.
        network: The winner's.
        cohort: The images and their split.
        searched: The search.
        finalists: Its trials at the full budget.
        tails: The final models, the exported one first.
        baselines: What they are compared with.
        store: Keeps the fold models, and what all models said.
        progress: Shows what goes on.
        exported: SHA-256 (hex) of the exported model's file.
        seed: Of the resamples.

    Returns:
        The evaluation, and all readings of these patients, this one among them.
    """
    data, epochs, stored = searched.data, searched.epochs, finalists.winner
    table, split = cohort.prepared.table, cohort.split
    folds = FoldModels((), exact=True)
    if len(data.folds) > 1:  # a single model is no ensemble
        total = len(data.folds) * epochs
        with progress.station("ensemble") as moved:
            folds = train_fold_models(
                searched, stored, store, on_epoch=lambda fold, epoch: moved(fold * epochs + epoch, total)
            )
    others = (*tails[1:], *folds.tails)
    models = (exported, *(tail.fingerprint for tail in others), *baselines.fingerprints)
    began = directory.read_manifest().created
    drawn = {"films": cohort.films.films_fingerprint, "draw": _draw(directory, split)}
    readings = record_final_stage(
        directory.runs, split.test_fingerprint, directory.name, began=began, models=models, **drawn
    )
    with progress.station("evaluate"):
        rows = split.test_rows(table)
        cases = table.take(rows)

        def probabilities() -> tuple[NDArray[np.float64], ...]:
            # What is evaluated is the file that is handed over, opened as anyone would open it.
            said = predict_images(load_exported(directory.model_file), cohort.prepared.images, rows)
            read = network.probabilities(cohort.prepared.images[rows], others)
            return said, *read, *baselines.said(cohort.prepared, rows)

        shape = len(models), len(cases), len(cases.class_names)
        said = store.kept("held-out", _stacked(shape), probabilities, models)
        first, *tables = (
            Predictions(
                image_ids=cases.image_ids,
                patient_ids=cases.patient_ids,
                labels=cases.labels,
                probabilities=each,
                class_names=cases.class_names,
            )
            for each in said
        )
        seeds, own = len(tails) - 1, len(others)
        corrected = finalists.corrected(seed=seed)
        evaluation = evaluate(
            first,
            development=stored.predictions,
            folds=stored.folds,
            training_shares=training_shares(searched.settings.minority, len(data.class_names)),
            attributes=case_attributes(cases),
            radius_cuts=radius_cuts(table.take(split.development_rows(table))),
            selection=corrected[-1][1],
            other_seeds=tuple(tables[:seeds]),
            ensemble=FoldEnsemble(tuple(tables[seeds:own]), folds.exact) if len(folds.tails) > 1 else None,
            seed=seed,
        )
        return with_answer(evaluation, baselines, tables[own:], corrected, seed=seed), readings


def read_under_other_splits(directory: RunDirectory, cohort: Cohort) -> OtherSplits:
    """Readings of a run's films under other splits than its own, as the ledger has them now."""
    films, draw = cohort.films.films_fingerprint, _draw(directory, cohort.split)
    return other_splits(directory.runs, films=films, draw=draw)


def _draw(directory: RunDirectory, split: Split) -> str:
    """Fingerprint of what was drawn: the outer folds, or who is held out."""
    return directory.read_manifest().fingerprints.get("outer_split", split.test_fingerprint)


def _stacked(shape: tuple[int, int, int]) -> Form[tuple[NDArray[np.float64], ...]]:
    """How the probabilities of all models are kept, float64 [models, n, classes]."""

    def unpack(arrays: Arrays) -> tuple[NDArray[np.float64], ...]:
        if arrays["probabilities"].shape != shape or arrays["probabilities"].dtype != np.float64:
            raise ValueError("not the probabilities of these models and images")
        return tuple(arrays["probabilities"])

    return Form(lambda said: {"probabilities": np.stack(said)}, unpack)


def write_predictions(
    directory: RunDirectory, tables: Mapping[str, Predictions | None], *, outer_folds: Sequence[int] | None = None
) -> None:
    """Write predictions.csv and those of its kind that there are.

    Args:
        directory: The run's folder.
        tables: Name to predictions; None where there are none of that name.
        outer_folds: Of each case, in a nested run.
    """
    for name, table in tables.items():
        if table is not None:
            with replacing(directory.best / f"{name}.csv") as temporary:
                table.write_csv(temporary, outer_folds=outer_folds)


def case_attributes(table: CaseTable) -> dict[str, CaseAttributes]:
    """Tissue, kinds of finding and the largest located finding's radius of each image, by image id."""
    attributes = {}
    for case in table.cases:
        radii = [finding.film_radius for finding in case.findings if finding.film_radius is not None]
        kinds = tuple(finding.abnormality for finding in case.findings if finding.abnormality)
        attributes[case.image_id] = CaseAttributes(case.tissue, kinds, max(radii, default=None))
    return attributes


def radius_cuts(development: CaseTable) -> tuple[float, float] | None:
    """The terciles of the development images' radii; None where none has a radius."""
    attributes = case_attributes(development)
    if all(item.radius is None for item in attributes.values()):
        return None
    return radius_terciles(attributes)
