"""Overlays of Grad-CAM maps beside predictions, a PNG file an image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from reports.figures.overlays import Overlay, write_overlay
from search.export.opened import ExportedModel
from search.predict.films import PredictedImage

_MOST_LETTERS = 100


class OverlayWriter:
    """Writes the overlay of each predicted image: where the evidence for its predicted class lies.

    Args:
        model: The opened model.
        folder: Where to; made if it is missing.
    """

    def __init__(self, model: ExportedModel, folder: Path) -> None:
        from search.exported_saliency import ExportedSaliency

        self._saliency = ExportedSaliency(model.keras_model)
        self._names = model.metadata.class_names
        self._folder = folder
        self._taken: set[str] = set()

    def write(self, rows: Sequence[PredictedImage]) -> list[str | None]:
        """Write the overlays of a batch.

        Args:
            rows: Some may have failed.

        Returns:
            The path of each row's file, None where it failed.
        """
        from reports.figures.overlays import on_canvas

        explained = [(row, row.predicted, row.prepared) for row in rows]
        good = [(row, name, image) for row, name, image in explained if name is not None and image is not None]
        if not good:
            return [None] * len(rows)
        classes = np.array([self._names.index(name) for _, name, _ in good])
        maps, stride = self._saliency.maps(np.stack([image for *_, image in good]), classes)
        written: dict[int, str] = {}
        for (row, name, image), cam in zip(good, maps, strict=True):
            probability = (row.probabilities or {})[name]
            overlay = Overlay(
                title=f"{PurePosixPath(row.name).name}: {name} ({probability:.2f})",
                note=f"Grad-CAM, {stride} px a cell, evidence for {name}",
                image=image,
                cam=on_canvas(cam, stride, image.shape[0]),
                circles=(),
            )
            written[id(row)] = str(write_overlay(overlay, self._folder / self._file_name(row.name)))
        return [written.get(id(row)) for row in rows]

    def _file_name(self, image: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", image).strip("._")[-_MOST_LETTERS:] or "image"
        name, number = plain, 2
        while name in self._taken:
            name, number = f"{plain}-{number}", number + 1
        self._taken.add(name)
        return f"{name}.png"
