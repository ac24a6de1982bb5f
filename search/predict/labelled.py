"""The patients that a model is evaluated on: the run's held-out ones, or a labelled set of somebody else's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mammo_data import CaseTable, DataError, PreparedSet, open_source, prepare
from search.cohort import finished_cohort
from search.export.metadata import ModelFile, ModelMetadata
from search.files.digests import image_digest, patient_digests
from search.screen.progress import RunProgress


@dataclass(frozen=True)
class LabelledImages:
    """Prepared images with their labels.

    Attributes:
        images: uint8 [n, size, size].
        table: Their cases, in that order.
        described: Who they are, in words.
        seed: Seed of the intervals' draws.
        held_out: Fingerprint of a run's held-out patients, if they are those; None for an external set.
        left_out: External patients that were left out, for the model's run knows them.
        films: Fingerprint of the films of a run's data set; "" for an external set.
        draw: Fingerprint of what was drawn: the outer folds, or who is held out; "" for an external set.
    """

    images: NDArray[np.uint8]
    table: CaseTable
    described: str
    seed: int = 0
    held_out: str | None = None
    left_out: int = 0
    films: str = ""
    draw: str = ""


def held_out_images(file: ModelFile, progress: RunProgress) -> LabelledImages:
    """The held-out patients of the run that a model belongs to, from the data that the run's configuration names.

    Raises:
        ConfigError: If the model has left its run, or the run has no held-out patients.
        RunError: If the data have changed since.
        DataError: If the data are not there any more.
    """
    run = file.require_held_out_patients()
    config, cohort = finished_cohort(run, progress)
    prepared, split = cohort.prepared, cohort.split
    rows = split.test_rows(prepared.table)
    patients = len(split.test_patients)
    return LabelledImages(
        images=np.asarray(prepared.images[rows]),
        table=prepared.table.take(rows),
        described=f"{patients} held-out patients of {run.name}",
        seed=config.split.seed,
        held_out=split.test_fingerprint,
        films=cohort.films.films_fingerprint,
        draw=run.read_manifest().fingerprints.get("outer_split", split.test_fingerprint),
    )


def external_images(
    metadata: ModelMetadata,
    data: Path,
    info: Path | None,
    cache: Path,
    progress: RunProgress,
    *,
    leave_out_known: bool = False,
) -> LabelledImages:
    """All images of a labelled set, prepared as the model takes them.

    Args:
        metadata: Of the model.
        data: The set, as `mammo_data.sources.open.open_source` understands it.
        info: Its Info.txt, where that lies elsewhere.
        cache: Where prepared sets are kept.
        progress: Shows how far it is.
        leave_out_known: Go on without patients that the model was developed on, instead of refusing the set.

    Raises:
        DataError: If the set can't be read, its classes are not the model's, or the model was developed on some of
            its patients.
        ConfigError: If the model is one of crops.
    """
    metadata.require_whole_images()
    source = open_source(data, info, metadata.class_names)
    with progress.station("prepare") as moved:
        prepared = prepare(source, metadata.preparation, cache / "prepared", progress=moved)
    # Other people's set may lack a class, as CBIS-DDSM has no normal films.
    if not set(prepared.table.class_names) <= set(metadata.class_names):
        raise DataError(
            expected=f"the model's classes, {', '.join(metadata.class_names)}",
            found=f"{', '.join(prepared.table.class_names)} in {source.location}",
            remedy="Name the labels as the model does.",
        )
    known = known_patients(metadata, prepared)
    if known and not leave_out_known:
        raise DataError(
            expected="patients that the model's run has neither developed nor evaluated it on",
            found=f"{len(known)} that it has, for example {min(known)}, by an equal image or patient id, in {data}",
            remedy="Add --leave-out-known to go on without them; rename ids that are equal by chance.",
        )
    rows = np.array([row for row, case in enumerate(prepared.table.cases) if case.patient_id not in known], dtype=int)
    if not len(rows):
        raise DataError(
            expected="at least one patient that the model's run has neither developed nor evaluated it on",
            found=f"none in {data}",
            remedy="Evaluate on other data; a run's own held-out patients are evaluated without --data, and counted.",
        )
    table = replace(prepared.table.take(rows), class_names=metadata.class_names)
    return LabelledImages(
        images=np.asarray(prepared.images[rows]),
        table=table,
        described=f"{len(set(table.patient_ids))} patients of {data}",
        left_out=len(known),
    )


def known_patients(metadata: ModelMetadata, prepared: PreparedSet) -> set[str]:
    """Patients of a set that a model's run knows: with an equal prepared image, or an equal id.

    Those that it was developed on, and the held-out ones: they are read by way of the run, which counts it. Ids of
    different sets may be equal by chance; equal pixels are not.
    """
    patients, images, ids = metadata.known("patients"), metadata.known("images"), prepared.table.patient_ids
    known = {patient for patient in set(ids) if patient_digests([patient])[0] in patients}
    if images:
        pairs = zip(ids, prepared.images, strict=True)
        known |= {patient for patient, image in pairs if image_digest(image) in images}
    return known
