"""A synthetic breast of noise and ducts with its lesions, as it lies on a film.

Shortcuts are closed by construction. After the lesions are in, the breast is scaled to a mean that is drawn without
regard to the class; so is the variance of the Laplacian at the scale of a small prepared image; the outline is drawn
without regard to the class.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import Finding
from mammo_data.phantom.lesions import Field, add_lesion, draw_lines, lesion_site

_DENSITY = {"F": 0.06, "G": 0.09, "D": 0.12}

# The scale of a small prepared image, and the Laplacian's variance that spiculated breasts have there by themselves.
_TEXTURE_SIDE = 96
_TEXTURE_CELLS = 110
_TEXTURE_VARIANCE = (0.020, 0.040)


def render_breast(
    side: int, strip: int, kinds: tuple[tuple[str, str], ...], tissue: str, size: float, rng: np.random.Generator
) -> tuple[Field, NDArray[np.bool_], tuple[Finding, ...]]:
    """Render one breast, chest wall at column 0.

    Args:
        side: Of the square in pixels.
        strip: Width of the film's strip in it, which the breast does not leave.
        kinds: (abnormality, severity) of each lesion.
        tissue: F, G or D.
        size: Relative to the largest.
        rng: Where all draws come from.

    Returns:
        Grey levels, float32 [side, side]; where the breast is; the lesions, y from the top.
    """
    depth = _depth(side, strip, size, rng)
    breast = depth > 0
    image = _tissue(depth, _DENSITY[tissue], rng)
    findings: list[Finding] = []
    taken: list[tuple[float, float, float]] = []
    for abnormality, severity in kinds:
        x, y, radius = lesion_site(depth, taken, rng)
        taken.append((x, y, radius))
        image = add_lesion(image, abnormality, severity, x, y, radius, rng)
        findings.append(Finding(abnormality, severity, x, y, radius))
    image = _even_texture(image, breast, rng)
    image *= np.clip(depth / 0.25, 0, 1) ** np.float32(0.5)
    # The same mean whatever is in the breast: brightness must not tell the class.
    image *= np.float32(rng.uniform(95, 130) / max(float(image[breast].mean()), 1e-6))
    return image, breast, tuple(findings)


def _depth(side: int, strip: int, size: float, rng: np.random.Generator) -> Field:
    """How far inside the breast a pixel lies, as a part of the breast's width; chest wall at column 0."""
    y = np.arange(side, dtype=np.float32)[:, None] / side
    x = np.arange(side, dtype=np.float32)[None, :] / side
    centre, height = rng.uniform(0.50, 0.56), size * rng.uniform(0.42, 0.46)
    width = size * rng.uniform(0.46, 0.54)
    width = min(width, 0.92 * strip / side)
    bulge = np.clip(1 - ((y - centre) / height) ** 2, 0, None) ** np.float32(0.6)
    # Towards the armpit the breast does not end: it runs out of the film.
    armpit = np.where(y < centre, rng.uniform(0.35, 0.5), 0.0).astype(np.float32)
    edge = width * np.maximum(bulge, armpit)
    wobble = 0.012 * np.sin(2 * np.pi * (y * rng.uniform(1.5, 3) + rng.random()))
    edge = np.where(edge > 0, edge + wobble * width, 0)
    return np.clip((edge - x) / np.float32(width), 0, None).astype(np.float32)


def _noise(side: int, cells: int, rng: np.random.Generator) -> Field:
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _tissue(depth: Field, density: float, rng: np.random.Generator) -> Field:
    """Glandular clouds, the pectoral muscle and ducts on an even ground of about 1; in every breast alike."""
    side = depth.shape[0]
    image: Field = np.ones_like(depth)
    strength = density * rng.uniform(0.8, 1.2)
    for cells in (4, 9, 20, 44):
        image += np.float32(strength * cells**-0.5) * _noise(side, cells, rng)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    muscle = np.clip((rng.uniform(0.16, 0.26) - x - y * rng.uniform(0.35, 0.55)) / 0.03, 0, 1)
    image += np.float32(0.35) * muscle.astype(np.float32)
    ducts: Field = np.zeros_like(image)
    nipple = np.array([float(np.count_nonzero(depth[side // 2] > 0)), side * rng.uniform(0.5, 0.58)])
    for _ in range(int(rng.integers(7, 13))):
        start = nipple + rng.normal(0, 0.02 * side, 2)
        heading = np.pi + rng.uniform(-0.9, 0.9)
        points = [start]
        for _ in range(8):
            heading += rng.normal(0, 0.22)
            points.append(points[-1] + 0.055 * side * np.array([np.cos(heading), np.sin(heading)]))
        draw_lines(ducts, [np.array(points)], rng.uniform(0.05, 0.12), rng.uniform(0.006, 0.011) * side)
    return np.maximum(image + cv2.GaussianBlur(ducts, (0, 0), 0.004 * side), 0.2).astype(np.float32)


def _even_texture(image: Field, breast: NDArray[np.bool_], rng: np.random.Generator) -> Field:
    """Add fine noise all over the breast until its Laplacian's variance is one drawn without regard to the class.

    Spicules alone would raise it, and a statistic of the whole image would tell the class without a look at any shape.
    """
    size = (_TEXTURE_SIDE, _TEXTURE_SIDE)
    covered = cv2.resize(breast.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.99
    inner = cv2.erode(covered.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0

    def laplacian(field: Field) -> NDArray[np.float64]:
        small = cv2.resize(field, size, interpolation=cv2.INTER_AREA)
        values = cv2.Laplacian(small, cv2.CV_32F)[inner].astype(np.float64)
        return np.asarray(values - values.mean())

    noise = _noise(image.shape[0], _TEXTURE_CELLS, rng)
    own, added = laplacian(image), laplacian(noise)
    missing = float(rng.uniform(*_TEXTURE_VARIANCE)) - float(np.mean(own**2))
    if missing <= 0:
        return image
    # The larger root of mean((own + k * added)²) = the variance drawn.
    square, mixed = float(np.mean(added**2)), float(np.mean(own * added))
    factor = (np.sqrt(mixed**2 + square * missing) - mixed) / square
    return image + np.float32(factor) * noise
