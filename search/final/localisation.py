"""Does the final model look at the lesions? Maps of the held-out images, the pointing game, and overlays to look at.

The kind of map is chosen by the pointing game on development images (a fixed sample of them), and what it is worth is
told by the held-out ones. Maps of the pointing game explain the true class; overlays explain the predicted one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import Case
from mammo_data.preparation.breast import find_breast
from reports.evaluation.confident_cases import ConfidentCase, confident_cases
from reports.evaluation.localisation import Circle, LocalisationResult, LocatedCase, localisation_result, share_of_hits
from reports.figures.overlays import Overlay, on_canvas, write_overlay
from reports.predictions import Predictions
from search.final.saliency import MapKind, SaliencyModel, peak
from search.seeding import generator
from search.trials.tail import TrainedTail

if TYPE_CHECKING:
    from search.final.stage import FinalStage

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


def localise(stage: FinalStage, tail: TrainedTail, predictions: Predictions) -> Localisation:
    """Compute maps, play the pointing game and write the overlays.

    Args:
        stage: What the stations before have made.
        tail: That of the exported model.
        predictions: Its predictions of the held-out patients.
    """
    model = SaliencyModel(
        stage.architecture,
        stage.weights,
        tail,
        unfreeze_depth=stage.outcome.configuration.unfreeze_depth,
        image_size=stage.config.preparation.image_size,
        head_width=stage.outcome.configuration.head_width,
        n_classes=len(stage.data.class_names),
    )
    table = stage.prepared.table
    development = _located(stage, stage.split.development_rows(table))
    if len(development) > DEVELOPMENT_IMAGES:
        rng = generator(stage.config.split.seed, "localisation")
        development = np.sort(rng.choice(development, DEVELOPMENT_IMAGES, replace=False))
    played = _played(stage, model, development, model.kinds)
    chosen = {kind.name: share_of_hits(cases) for kind, cases in played.items()}
    # Of equal ones the first: the plain Grad-CAM.
    kind = max(model.kinds, key=lambda kind: chosen.get(kind.name, 0.0))
    held_out = _located(stage, stage.split.test_rows(table))
    result = None
    if len(held_out):
        result = localisation_result(
            _played(stage, model, held_out, (kind,))[kind],
            method=kind.name,
            chosen_on=chosen,
            chosen_on_images=len(development),
            seed=stage.config.split.seed,
        )
    return Localisation(result, _write_overlays(stage, model, kind, predictions))


def circles_of(case: Case) -> tuple[Circle, ...]:
    """The circles of a case's located findings, in the pixels of its prepared image."""
    return tuple(
        (finding.x, finding.y, finding.radius)
        for finding in case.findings
        if finding.x is not None and finding.y is not None and finding.radius is not None
    )


def overlay_name(case: ConfidentCase) -> str:
    """File name of a case's overlay, for example "malignant-wrong-1-mdb184.png"."""
    parts = (case.label, "right" if case.right else "wrong", str(case.rank), case.image_id)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(parts)) + ".png"


def _located(stage: FinalStage, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array([row for row in rows if circles_of(stage.prepared.table.cases[row])], dtype=np.int64)


def _played(
    stage: FinalStage, model: SaliencyModel, rows: NDArray[np.int64], kinds: tuple[MapKind, ...]
) -> dict[MapKind, list[LocatedCase]]:
    if not len(rows):
        return {}
    table = stage.prepared.table.take(rows)
    images = np.asarray(stage.prepared.images[rows])
    breasts = [_region(stage, image) for image in images]
    return {
        kind: [
            LocatedCase(case.image_id, case.patient_id, case.label, circles_of(case), peak(cam, kind.stride), breast)
            for case, cam, breast in zip(table.cases, maps, breasts, strict=True)
        ]
        for kind, maps in model.maps(images, table.labels, kinds).items()
    }


def _region(stage: FinalStage, image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a random pixel may lie: the breast, or all of a crop."""
    if stage.config.data.mode == "roi":
        return np.ones(image.shape, dtype=bool)
    return find_breast(image).mask.astype(bool)


def _write_overlays(
    stage: FinalStage, model: SaliencyModel, kind: MapKind, predictions: Predictions
) -> dict[str, Path]:
    table, cases = stage.prepared.table, confident_cases(predictions)
    row_of = {image: row for row, image in enumerate(table.image_ids)}
    rows = np.array([row_of[case.image_id] for case in cases], dtype=np.int64)
    images = np.asarray(stage.prepared.images[rows])
    classes = np.array([predictions.class_names.index(case.predicted) for case in cases])
    maps = model.maps(images, classes, (kind,))[kind]
    folder = stage.directory.figures / "localisation"
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
