"""Overlays of Grad-CAM maps beside predictions, a PNG file an image; the .keras file is all that is needed.

The activations A are those of the last residual unit, g the gradients of the explained class's logit with respect to
them; the map is ReLU(Σ_c mean(g)_c · A_c) (Selvaraju et al., ICCV 2017), of a mean of several models the mean of their
maps. A cell (i, j) looks at the pixel (i · stride,
j · stride), see `search.final.saliency.peak`. A run's report chooses among several kinds of maps on development images;
here it is always this one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from reports.figures.overlays import Overlay, on_canvas, write_overlay
from search.errors import RunError
from search.export.activation_maps import ClassGradients, cell_stride, grad_cam
from search.export.model import ExportedModel
from search.predict.films import PredictedImage

_MOST_LETTERS = 100


class OverlayWriter:
    """Writes the overlay of each predicted image: where the evidence for its predicted class lies.

    Args:
        model: The opened model.
        folder: Where to; made if it is missing.
    """

    def __init__(self, model: ExportedModel, folder: Path) -> None:
        self._saliency = ExportedSaliency(model.keras_model)
        self._names = model.metadata.class_names
        self._folder = folder
        self._taken: set[str] = set()

    def write(self, rows: Sequence[PredictedImage]) -> list[PredictedImage]:
        """Write the overlays of a batch.

        Args:
            rows: Some may have failed.

        Returns:
            The rows with the path of each one's file; those that failed have none.
        """
        explained = [(row, row.predicted, row.prepared) for row in rows]
        good = [(row, name, image) for row, name, image in explained if name is not None and image is not None]
        if not good:
            return list(rows)
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
        return [replace(row, overlay=written.get(id(row))) for row in rows]

    def _file_name(self, image: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", image).strip("._")[-_MOST_LETTERS:] or "image"
        name, number = plain, 2
        while name in self._taken:
            name, number = f"{plain}-{number}", number + 1
        self._taken.add(name)
        return f"{name}.png"


class ExportedSaliency:
    """Grad-CAM of one model, or of a mean of several: the mean of its members' maps.

    Args:
        model: An exported model, from images in 0 … 255 to probabilities.

    Raises:
        RunError: If it has no residual units inside.
    """

    def __init__(self, model: keras.Model) -> None:
        self._ways = [_WayToLogits(parts) for parts in _ways(model)]

    def maps(self, images: NDArray[np.uint8], classes: NDArray[np.integer]) -> tuple[NDArray[np.float32], int]:
        """Where the evidence for a class lies.

        Args:
            images: Prepared images, uint8 [n, size, size].
            classes: The class to explain of each, int [n].

        Returns:
            Maps, float32 [n, rows, columns], at least 0, not scaled; and the pixels a cell.
        """
        pixels = np.repeat(images[..., None].astype(np.float32) / 127.5 - 1, 3, axis=-1)
        maps = np.stack([way.maps(pixels, classes) for way in self._ways]).mean(axis=0)
        return maps, cell_stride(images.shape[1], maps.shape[1])


def _ways(model: keras.Model) -> list[list[keras.Layer]]:
    """From pixels to logits, by layers and inner models one after the other: one way, of a mean one a member."""
    inner = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    if members := [layer for layer in inner if layer.name.startswith("member_")]:
        trunk = [layer for layer in inner if layer not in members]
        return [[*trunk, keras.Model(member.inputs, member.layers[-1].input)] for member in members]
    behind = model.layers[model.layers.index(inner[0]) :] if inner else []
    return [[layer for layer in behind if not isinstance(layer, keras.layers.Softmax)]]


class _WayToLogits:
    """A way from pixels to logits, cut behind its last residual unit."""

    def __init__(self, parts: Sequence[keras.Layer]) -> None:
        units = [
            (position, layer)
            for position, part in enumerate(parts)
            if isinstance(part, keras.Model)
            for layer in part.layers
            if isinstance(layer, keras.layers.Add)
        ]
        if not units:
            raise RunError(
                expected="an exported model with residual units", found="one without", remedy="Leave --cam out."
            )
        position, last = units[-1]
        self._before = [*parts[:position], keras.Model(parts[position].inputs, last.output)]
        self._behind = [keras.Model(last.output, parts[position].output), *parts[position + 1 :]]
        self._gradients = ClassGradients(self._logits)

    def maps(self, pixels: NDArray[np.float32], classes: NDArray[np.integer]) -> NDArray[np.float32]:
        values = pixels
        for part in self._before:
            values = np.asarray(part.predict_on_batch(values))
        return grad_cam(values, self._gradients(values, classes))

    def _logits(self, activations: Any) -> Any:
        values = activations
        for part in self._behind:
            values = part(values, training=False) if isinstance(part, keras.Model) else part(values)
        return values
