"""What a synthetic breast is drawn with, lesions and tissue alike: masses, strands and calcifications."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

_BUMPS = (3, 5, 7, 11)
_ANGLES = np.linspace(-np.pi, np.pi, 512)
_POINTS = np.linspace(0, 1, 6)


@dataclass(frozen=True)
class Mass:
    """A blob, brighter than what it lies on.

    Attributes:
        x: Centre's column in pixels.
        y: Centre's row.
        radius: Of its edge, in pixels.
        contrast: Added grey, the ground being 1.
        softness: Width of its edge as a part of the radius.
        raggedness: Amplitude of its edge's bumps as a part of the radius.
        elongation: Longest diameter to shortest, at least 1.
    """

    x: float
    y: float
    radius: float
    contrast: float
    softness: float
    raggedness: float = 0.0
    elongation: float = 1.0


def add_mass(image: Field, mass: Mass, rng: np.random.Generator) -> None:
    """Add a mass to float32 [S, S] in place, turned and bumpy as drawn from the generator."""
    turn, *phases = rng.uniform(0, 2 * np.pi, 1 + len(_BUMPS)).astype(np.float32)
    heights = mass.raggedness * rng.uniform(0.5, 1.5, len(_BUMPS)).astype(np.float32)
    reach = mass.radius * mass.elongation * (1 + 4 * mass.raggedness + mass.softness)
    top, left = max(0, int(mass.y - reach)), max(0, int(mass.x - reach))
    window = image[top : int(mass.y + reach) + 1, left : int(mass.x + reach) + 1]
    rows, columns = np.ogrid[: window.shape[0], : window.shape[1]]
    down, across = (rows + np.float32(top - mass.y)), (columns + np.float32(left - mass.x))
    along = (across * np.cos(turn) + down * np.sin(turn)) / np.float32(mass.elongation**0.5)
    aside = (down * np.cos(turn) - across * np.sin(turn)) * np.float32(mass.elongation**0.5)
    edge: Field | np.float32 = np.float32(1)
    if mass.raggedness:
        waves = np.cos(np.outer(_ANGLES, _BUMPS) + phases) @ heights
        steps = (np.arctan2(aside, along) + np.float32(np.pi)) * np.float32((len(_ANGLES) - 1) / (2 * np.pi))
        edge = edge + waves.astype(np.float32)[steps.astype(np.int32)]
    beyond = (np.hypot(along, aside) / np.float32(mass.radius) - edge) / np.float32(mass.softness / 4)
    window += np.float32(mass.contrast) / (1 + np.exp(np.clip(beyond, -30, 30)))


def draw_strand(
    canvas: Field, start: NDArray[np.float64], heading: float, length: float, grey: float, width: float, *, bend: float
) -> None:
    """Draw a bent line of even brightness, which crossings do not add to.

    Args:
        canvas: float32 [S, S], drawn on in place.
        start: Its first point's column and row in pixels, float64 [2].
        heading: Direction in radians.
        length: In pixels.
        grey: Its brightness.
        width: In pixels.
        bend: By how much the direction has turned at the far end, in radians.
    """
    turned = heading + bend * _POINTS
    way = length * _POINTS[:, None] * np.stack([np.cos(turned), np.sin(turned)], axis=1)
    draw_line(canvas, start + way, grey, width)


def draw_line(canvas: Field, points: NDArray[np.float64], value: float, width: float) -> None:
    """Draw a polyline, float64 [n, 2] of x and y in pixels, with a sub-pixel of 1/16."""
    fixed = np.rint(points * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(canvas, [fixed], False, float(value), max(1, round(width)), cv2.LINE_8, 4)


def draw_calcifications(canvas: Field, places: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Draw a bright dot at each of the places, float64 [n, 2] of x and y in pixels."""
    radius = max(16, round(16 * 0.004 * canvas.shape[0]))
    for x, y in places.tolist():
        cv2.circle(canvas, (round(16 * x), round(16 * y)), radius, float(rng.uniform(0.5, 1.0)), -1, cv2.LINE_8, 4)
