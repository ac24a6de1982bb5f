"""One synthetic film: a breast on its strip of film, with labels, wedges, frame, grain and stray pixels around it.

Shortcuts are closed by construction (see `mammo_data.phantom.breast`): strip, labels and frame are drawn without
regard to the class, and so is the grain, which swamps the texture at the scale of the film.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import Finding
from mammo_data.phantom.breast import render_breast
from mammo_data.phantom.shapes import Field

_LARGEST_CANVAS = 512
_STRIPS = tuple(np.linspace(0.62, 1.0, 14).tolist())


def render_film(
    image_size: int,
    kinds: tuple[tuple[str, str], ...],
    tissue: str,
    size: float,
    *,
    chest_wall: str,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], tuple[Finding, ...]]:
    """Render one film.

    Args:
        image_size: Side in pixels.
        kinds: (abnormality, severity) of each lesion.
        tissue: F, G or D.
        size: Of the breast, relative to the largest.
        chest_wall: "left" or "right".
        rng: Where all draws come from.

    Returns:
        The pixels, uint8 [S, S], and the findings in them, y from the top.
    """
    # Drawn at no more than 512 pixels and enlarged; only the grain needs every pixel.
    side = min(image_size, _LARGEST_CANVAS)
    strip = round(side * float(rng.choice(_STRIPS)))
    image, breast, findings = render_breast(side, strip, kinds, tissue, size, rng)
    film = _film_around(image, breast, strip, rng)
    # Enlarged, with grain, on its padding and with the chest wall at its side.
    scale = image_size / film.shape[0]
    full = (image_size, image_size)
    if scale != 1:
        film = np.asarray(cv2.resize(film, full, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
        breast = cv2.resize(breast.view(np.uint8), full, interpolation=cv2.INTER_NEAREST).astype(bool)
    width = round(strip * scale)
    grain = rng.standard_normal(full, dtype=np.float32)
    # Off the breast little grain, so that the background stays as dark as a film's.
    film = film + grain * np.where(breast, np.float32(rng.uniform(5, 11)), np.float32(1.0))
    pixels = np.clip(film, 0, 255).astype(np.uint8)
    pixels[:, width:] = 0
    _stray_pixels(pixels, width, rng)
    start = (image_size - width) // 2
    placed: NDArray[np.uint8] = np.zeros_like(pixels)
    placed[:, start:] = pixels[:, : image_size - start]
    if chest_wall == "right":
        placed = np.ascontiguousarray(placed[:, ::-1])
    return placed, tuple(_on_film(finding, scale, start, image_size, chest_wall) for finding in findings)


def _film_around(image: Field, breast: NDArray[np.bool_], strip: int, rng: np.random.Generator) -> Field:
    """Labels, wedges and a white frame on the strip, beside the breast; 0 to 255."""
    side = image.shape[0]
    film: Field = np.where(breast, image, np.float32(rng.uniform(2, 9))).astype(np.float32)
    free = cv2.dilate(breast.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
    free &= np.arange(side)[None, :] < strip
    marks: Field = np.zeros_like(film)
    if rng.random() < 0.6:
        left, top = round(strip - side * rng.uniform(0.10, 0.14)), round(side * rng.uniform(0, 0.06))
        width, height = round(0.09 * side), round(0.13 * side)
        cv2.rectangle(marks, (left, top), (left + width, top + height), 250.0, -1)
        cv2.putText(marks, "RL"[int(rng.integers(2))], (left + 4, top + height // 2), 0, side / 700, 30.0, 2)
    if rng.random() < 0.2:
        cv2.rectangle(marks, (strip - round(0.02 * side), 0), (strip, side), 235.0, -1)
    if rng.random() < 0.02:
        cv2.rectangle(marks, (strip - round(0.06 * side), 0), (strip, side), 255.0, -1)
        cv2.rectangle(marks, (0, side - round(0.04 * side)), (strip, side), 200.0, -1)
    return np.where((marks > 0) & free, marks, film)


def _stray_pixels(pixels: NDArray[np.uint8], width: int, rng: np.random.Generator) -> None:
    """Half of the films have a few bright pixels in their padding, as half of MIAS's have."""
    draws = rng.random(1)
    padding = pixels.shape[1] - width
    if draws[0] < 0.5 and padding > 2:
        count = int(rng.integers(3, 12))
        rows = rng.integers(0, pixels.shape[0], count)
        columns = width + rng.integers(0, padding // 2, count)
        pixels[rows, columns] = rng.integers(60, 256, count)


def _on_film(finding: Finding, scale: float, start: int, image_size: int, chest_wall: str) -> Finding:
    x, y, radius = finding.circle or (0.0, 0.0, 0.0)
    x = start + (x + 0.5) * scale - 0.5
    x = image_size - 1 - x if chest_wall == "right" else x
    return replace(finding, x=x, y=(y + 0.5) * scale - 0.5, radius=radius * scale)
