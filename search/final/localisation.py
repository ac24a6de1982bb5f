"""Localisation: maps of the held-out images, the pointing game (does the model look at the lesions?), and overlays.

The kind of map is chosen by the pointing game on development images (a fixed sample of them), and what it is worth is
told by the held-out ones. Maps of the pointing game explain the true class; overlays explain the predicted one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from mammo_data import Case, CaseTable, find_breast
from reports import (
    ConfidentCase,
    LocalisationResult,
    LocatedCase,
    Overlay,
    Predictions,
    confident_cases,
    localisation_result,
    write_overlay,
)
from reports.evaluation.localisation import Circle, share_of_hits
from reports.figures.overlays import on_canvas
from search.cohort import Cohort
from search.files.digests import content_checksum
from search.files.tensors import Arrays
from search.final.kept import Form
from search.final.saliency import MapKind, SaliencyModel, peak
from search.seeding import generator

DEVELOPMENT_IMAGES = 48
"""So many development images with a circle choose the kind of map; all of them would cost minutes at 448 px."""


@dataclass(frozen=True)
class Localisation:
    """What the maps showed.

    Attributes:
        result: The pointing game; None where no held-out image has a located finding.
        overlays: Image id to PNG file, of the most confident right and wrong cases of each class.
    """

    result: LocalisationResult | None
    overlays: dict[str, Path]


def localise(
    model: SaliencyModel, cohort: Cohort, predictions: Predictions, figures: Path, *, seed: int
) -> Localisation:
    """Compute maps, play the pointing game and write the overlays.

    Args:
        model: Gives the maps of the exported model.
        cohort: The images and their split.
        predictions: The model's predictions of the held-out patients.
        figures: The run's folder of figures.
        seed: Of the sample of development images.
    """
    table, split = cohort.prepared.table, cohort.split
    development = _located(table, split.development_rows(table))
    if len(development) > DEVELOPMENT_IMAGES:
        rng = generator(seed, "localisation")
        development = np.sort(rng.choice(development, DEVELOPMENT_IMAGES, replace=False))
    played = _played(cohort, model, development, model.kinds)
    chosen = {kind.name: share_of_hits(cases) for kind, cases in played.items()}
    # Of equal ones the first: the plain Grad-CAM.
    kind = max(model.kinds, key=lambda kind: chosen.get(kind.name, 0.0))
    held_out = _located(table, split.test_rows(table))
    result = None
    if len(held_out):
        result = localisation_result(
            _played(cohort, model, held_out, (kind,))[kind],
            method=kind.name,
            chosen_on=chosen,
            chosen_on_images=len(development),
        )
    return Localisation(result, _write_overlays(cohort, model, kind, predictions, _overlays(figures)))


def kept_form(figures: Path) -> Form[Localisation]:
    """How it is kept: the overlays by their names and checksums, for they lie in the run's folder of figures.

    Args:
        figures: That folder.
    """
    game: TypeAdapter[LocalisationResult | None] = TypeAdapter(LocalisationResult | None)
    folder = _overlays(figures)

    def pack(found: Localisation) -> Arrays:
        files = {image: [path.name, content_checksum(path)] for image, path in found.overlays.items()}
        return {"json": np.array(json.dumps([game.dump_python(found.result), files]))}

    def unpack(arrays: Arrays) -> Localisation:
        result, files = json.loads(str(arrays["json"]))
        overlays = {image: folder / Path(name).name for image, (name, _) in files.items()}
        if any(not path.is_file() or content_checksum(path) != files[image][1] for image, path in overlays.items()):
            raise ValueError("not the overlays that were drawn")
        return Localisation(game.validate_python(result), overlays)

    return Form(pack, unpack)


def _overlays(figures: Path) -> Path:
    return figures / "localisation"


def circles_of(case: Case) -> tuple[Circle, ...]:
    """The circles of a case's located findings, in the pixels of its prepared image."""
    return tuple(circle for finding in case.findings if (circle := finding.circle))


def overlay_name(case: ConfidentCase) -> str:
    """File name of a case's overlay, for example "malignant-wrong-1-mdb184.png"."""
    parts = (case.label, "right" if case.right else "wrong", str(case.rank), case.image_id)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(parts)) + ".png"


def _located(table: CaseTable, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array([row for row in rows if circles_of(table.cases[row])], dtype=np.int64)


def _played(
    cohort: Cohort, model: SaliencyModel, rows: NDArray[np.int64], kinds: tuple[MapKind, ...]
) -> dict[MapKind, list[LocatedCase]]:
    if not len(rows):
        return {}
    table = cohort.prepared.table.take(rows)
    images = np.asarray(cohort.prepared.images[rows])
    # Where a random pixel may lie: the breast, or all of a crop.
    crops = cohort.prepared is not cohort.films
    breasts = [np.ones(image.shape, bool) if crops else find_breast(image).mask.astype(bool) for image in images]
    return {
        kind: [
            LocatedCase(case.image_id, case.patient_id, case.label, circles_of(case), peak(cam, kind.stride), breast)
            for case, cam, breast in zip(table.cases, maps, breasts, strict=True)
        ]
        for kind, maps in model.maps(images, table.labels, kinds).items()
    }


def _write_overlays(
    cohort: Cohort, model: SaliencyModel, kind: MapKind, predictions: Predictions, folder: Path
) -> dict[str, Path]:
    table, cases = cohort.prepared.table, confident_cases(predictions)
    row_of = {image: row for row, image in enumerate(table.image_ids)}
    rows = np.array([row_of[case.image_id] for case in cases], dtype=np.int64)
    images = np.asarray(cohort.prepared.images[rows])
    classes = np.array([predictions.class_names.index(case.predicted) for case in cases])
    maps = model.maps(images, classes, (kind,))[kind]
    written = {}
    for case, row, image, cam in zip(cases, rows, images, maps, strict=True):
        said = "and so predicted" if case.right else f"taken for {case.predicted}"
        overlay = Overlay(
            title=f"{case.image_id}: {case.label}, {said} ({case.confidence:.2f})",
            note=f"{kind.name}, evidence for {case.predicted}; circles: annotated findings",
            image=image,
            cam=on_canvas(cam, kind.stride, image.shape[0]),
            circles=circles_of(table.cases[row]),
        )
        written[case.image_id] = write_overlay(overlay, folder / overlay_name(case))
    return written
