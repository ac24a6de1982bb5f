"""Augmentation of one prepared image: flips, small rotation, scale and shift, tone, elastic; for training only.

Everything is drawn from the generator that the caller seeds, so a view is a function of its seed and nothing else.
"""

from __future__ import annotations

import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo_data.preparation.settings import AugmentationSettings


def augment(image: NDArray[np.uint8], settings: AugmentationSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One random variant of an image.

    Args:
        image: uint8 [S, S].
        settings: The ranges.
        rng: Where all draws come from; the number of draws does not depend on the settings.

    Returns:
        uint8 [S, S]; black stays black, so that the padding gives no transform away.
    """
    side = image.shape[0]
    flips = rng.random(2)
    angle, log_scale, shift_x, shift_y, contrast, brightness, gamma = rng.uniform(-1.0, 1.0, 7)
    coarse = rng.uniform(-1.0, 1.0, (2, _ELASTIC_GRID, _ELASTIC_GRID)).astype(np.float32)
    if settings.strength == 0:
        return image.copy()
    k = settings.strength
    if flips[0] < settings.vertical_flip:
        image = cv2.flip(image, 0)
    if flips[1] < settings.horizontal_flip:
        image = cv2.flip(image, 1)
    matrix = cv2.getRotationMatrix2D(
        ((side - 1) / 2, (side - 1) / 2), k * settings.rotation * angle, 1 + k * settings.scale * log_scale
    )
    matrix[:, 2] += np.array([shift_x, shift_y]) * k * settings.translation * side
    if settings.elastic > 0:
        moved = _elastic_warp(image, matrix, coarse * (k * settings.elastic * side))
    else:
        moved = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR)
    table = _tone_table(
        moved, 1 + k * settings.contrast * contrast, k * settings.brightness * brightness, k * settings.gamma * gamma
    )
    return np.asarray(cv2.LUT(moved, table), dtype=np.uint8)


def augmented_view(
    image: NDArray[np.uint8], image_id: str, view: int, *, seed: int, settings: AugmentationSettings
) -> NDArray[np.uint8]:
    """View ``view`` of an image, the same whenever and wherever it is asked for.

    Args:
        image: uint8 [S, S].
        image_id: Its name: views depend on it, not on the image's row.
        view: 0 is the image itself, bit for bit.
        seed: The bank's seed.
        settings: The ranges.
    """
    if view < 0:
        raise ValueError(f"view must be 0 or more; received {view}")
    if view == 0:
        return np.array(image, dtype=np.uint8)
    rng = np.random.default_rng((seed, zlib.crc32(image_id.encode()), view))
    return augment(np.asarray(image), settings, rng)


def views_per_class(labels: NDArray[np.int64], n_classes: int, *, base: int = 4, most: int = 16) -> tuple[int, ...]:
    """How many views a bank holds of each image of a class.

    In proportion to how often the balanced sampler draws an image of that class: a class a third as large is drawn
    three times as often. MIAS: 4 normal, 13 benign, 16 malignant.

    Args:
        labels: Class index of each training image, int64 [n].
        n_classes: Number of classes; one without images gets ``base``.
        base: Views of the largest class.
        most: Upper bound.
    """
    counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=n_classes)
    largest = int(counts.max()) if counts.size else 0
    return tuple(
        min(max(most, base), int(base * largest / int(count) + 0.5)) if count else base for count in counts.tolist()
    )


_ELASTIC_GRID = 6


def _elastic_warp(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], coarse: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Affine and elastic in one interpolation, for two would blur twice."""
    side = image.shape[0]
    inverse = cv2.invertAffineTransform(matrix).astype(np.float32)
    grid = np.arange(side, dtype=np.float32)
    offsets = [cv2.resize(part, (side, side), interpolation=cv2.INTER_CUBIC) for part in coarse]
    map_x = offsets[0] + (inverse[0, 0] * grid + inverse[0, 2])[None, :] + (inverse[0, 1] * grid)[:, None]
    map_y = offsets[1] + (inverse[1, 0] * grid + inverse[1, 2])[None, :] + (inverse[1, 1] * grid)[:, None]
    return np.asarray(cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR), dtype=np.uint8)


def _tone_table(image: NDArray[np.uint8], contrast: float, brightness: float, log_gamma: float) -> NDArray[np.uint8]:
    """uint8 [256]: gamma, then contrast about the mean of what is not black, then brightness; 0 maps to 0."""
    histogram = np.bincount(image.ravel(), minlength=256).astype(np.float64)
    histogram[0] = 0
    levels = 255.0 * (np.arange(256) / 255.0) ** np.exp(log_gamma)
    mean = float(histogram @ levels / histogram.sum()) if histogram.any() else 0.0
    table = np.clip(np.rint((levels - mean) * contrast + mean + brightness), 1, 255).astype(np.uint8)
    # Dim pixels near black fade to it rather than jump by the brightness.
    ramp = np.minimum(1.0, np.arange(256) / 16.0)
    table = np.rint(ramp * table).astype(np.uint8)
    table[0] = 0
    return table
