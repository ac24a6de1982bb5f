"""Lesions of the synthetic films, whose shape is their class.

benign: CIRC is a smooth, well-circumscribed disc, MISC the same with a softer edge.
malignant: SPIC is an irregular core with spicules, ARCH spicules that pull on the tissue with hardly a core, CALC an
irregular core with a cluster of calcifications.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# As parts of the film's side, in the frame of the breast; found by trial so that a logistic regression on the pooled
# features of a small random BiT reaches a macro AUC of about 0.9 at 96 pixels: to be learned, and not trivial.
_RADIUS = (0.10, 0.15)
_SPICULE_WIDTH = 0.014
_BENIGN_CONTRAST = (0.45, 0.65)
_SPICULE_CONTRAST = (0.40, 0.60)

Field = NDArray[np.float32]


def lesion_site(
    depth: Field, taken: list[tuple[float, float, float]], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Centre and radius of a lesion, well inside the breast and apart from the others."""
    side = depth.shape[0]
    radius = float(rng.uniform(*_RADIUS)) * side
    rows, columns = np.nonzero((depth > 0.25) & (np.arange(side)[None, :] > 1.1 * radius))
    inner = (rows > 0.22 * side) & (rows < 0.86 * side)
    rows, columns = rows[inner], columns[inner]
    for x, y, other in taken:
        apart = np.hypot(columns - x, rows - y) > radius + other
        if apart.any():
            rows, columns = rows[apart], columns[apart]
    chosen = int(rng.integers(rows.size))
    return float(columns[chosen]), float(rows[chosen]), radius


def add_lesion(
    image: Field, abnormality: str, severity: str, x: float, y: float, radius: float, rng: np.random.Generator
) -> Field:
    """The breast with one lesion more.

    Args:
        image: float32 [S, S], an even ground of about 1.
        abnormality: CIRC, MISC, SPIC, ARCH or CALC.
        severity: "benign" or "malignant".
        x: Centre's column in pixels.
        y: Centre's row.
        radius: In pixels.
        rng: Where all draws come from.
    """
    side = image.shape[0]
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    distance = np.hypot(columns - x, rows - y) / np.float32(radius)
    if severity == "benign":
        softness = 0.10 if abnormality == "CIRC" else 0.18
        edge = 0.80
        return image + np.float32(rng.uniform(*_BENIGN_CONTRAST)) * _disc(distance, edge, softness)
    angle = np.arctan2(rows - y, columns - x)
    ragged = sum(
        np.float32(rng.uniform(0.04, 0.09)) * np.cos(k * angle + np.float32(rng.uniform(0, 2 * np.pi)))
        for k in (3, 5, 7, 11)
    )
    core, contrast = {"SPIC": (0.42, 0.50), "ARCH": (0.22, 0.35), "CALC": (0.38, 0.35)}[abnormality]
    image = image + np.float32(contrast * rng.uniform(0.8, 1.2)) * _disc(distance, core * (1 + 2 * ragged), 0.10)
    image = image + np.float32(rng.uniform(*_SPICULE_CONTRAST)) * _spicules(side, x, y, radius, rng)
    if abnormality == "CALC":
        image = image + _calcifications(side, x, y, radius, rng)
    return np.asarray(image, dtype=np.float32)


def _disc(distance: Field, edge: Field | float, softness: float) -> Field:
    return np.asarray(1 / (1 + np.exp(np.clip((distance - edge) / (softness / 4), -30, 30))), dtype=np.float32)


def _spicules(side: int, x: float, y: float, radius: float, rng: np.random.Generator) -> Field:
    canvas: Field = np.zeros((side, side), np.float32)
    count = int(rng.integers(11, 17))
    for spoke in range(count):
        heading = 2 * np.pi * (spoke + rng.uniform(-0.3, 0.3)) / count
        reach = radius * rng.uniform(0.85, 1.25)
        steps = np.linspace(0.2, 1, 6)[:, None]
        bend = heading + rng.normal(0, 0.12) * steps[:, 0]
        line = np.array([x, y]) + reach * steps * np.stack([np.cos(bend), np.sin(bend)], axis=1)
        draw_lines(canvas, [line], 1.0, _SPICULE_WIDTH * side)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.0025 * side), dtype=np.float32)


def _calcifications(side: int, x: float, y: float, radius: float, rng: np.random.Generator) -> Field:
    canvas: Field = np.zeros((side, side), np.float32)
    for _ in range(int(rng.integers(14, 26))):
        offset = rng.normal(0, 0.4 * radius, 2)
        centre = (round(16 * (x + float(offset[0]))), round(16 * (y + float(offset[1]))))
        cv2.circle(canvas, centre, max(16, round(16 * 0.004 * side)), float(rng.uniform(0.7, 1.2)), -1, cv2.LINE_8, 4)
    return canvas


def draw_lines(canvas: Field, lines: list[NDArray[np.float64]], value: float, thickness: float) -> None:
    """Draw polylines, points as [x, y] in pixels, with a sub-pixel of 1/16."""
    fixed = [np.rint(line * 16).astype(np.int32).reshape(-1, 1, 2) for line in lines]
    cv2.polylines(canvas, fixed, False, float(value), max(1, round(thickness)), cv2.LINE_8, 4)
