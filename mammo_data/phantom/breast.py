"""A synthetic breast of clouds, ducts, masses and strands with its lesions, as it lies on a film.

Shortcuts are closed by construction. How many masses, strands and calcifications there are is drawn without regard to
the class, which only says how they lie. Clouds fill up each octave to an energy that is drawn without regard to it, and
the breast is scaled to a mean that is, too; so is the outline.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import Finding
from mammo_data.phantom.lesions import dense_mass, lesion_site
from mammo_data.phantom.shapes import Field, add_mass, draw_calcifications, draw_line, draw_strand

_DENSER = {"F": 0.85, "G": 1.0, "D": 1.15}
_MASSES = (1, 3)

# About a mass: lengths and places as parts of its circle's radius, widths of the film's side.
_STRANDS = (8, 12)
_STRAND_LENGTH = (0.45, 0.6)
_STRAND_PLACE = (0.95, 1.15)
_STRAND_WIDTH = (0.012, 0.018)
_STRAND_VALUE = (1.1, 1.4)

# Standard deviation of each octave of an even breast, fine to coarse, at the scale of a small prepared image.
_OCTAVES = (0.06, 0.068, 0.068, 0.068, 0.06)
_OCTAVES_SIDE = 128


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
    image = _ground(depth, rng)
    lines: Field = np.zeros_like(image)
    _draw_ducts(lines, depth, rng)
    findings, taken = _add_masses(image, depth, kinds, int(rng.integers(*_MASSES)), rng)
    _draw_strands(lines, findings, taken, rng)
    image += cv2.GaussianBlur(lines, (0, 0), 0.003 * side)
    image += _clouds(image, depth, _DENSER[tissue], rng)
    image += _calcifications(depth, findings, rng)
    image = np.maximum(image, np.float32(0.2)) * np.clip(depth / 0.25, 0, 1) ** np.float32(0.5)
    # The same mean whatever is in the breast: brightness must not tell the class.
    image *= np.float32(rng.uniform(95, 130) / max(float(image[breast].mean()), 1e-6))
    return image, breast, findings


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


def _ground(depth: Field, rng: np.random.Generator) -> Field:
    """The pectoral muscle on an even ground of 1."""
    side = depth.shape[0]
    y = np.arange(side, dtype=np.float32)[:, None] / side
    x = np.arange(side, dtype=np.float32)[None, :] / side
    muscle = np.clip((rng.uniform(0.16, 0.26) - x - y * rng.uniform(0.35, 0.55)) / 0.03, 0, 1)
    return (1 + np.float32(0.35) * muscle).astype(np.float32)


def _clouds(image: Field, depth: Field, denser: float, rng: np.random.Generator) -> Field:
    """Glandular clouds: the noise that each octave lacks of an energy that is drawn without regard to the class.

    Lesions alone would raise some octaves, and a statistic of the whole image would tell the class without a look at
    any shape. An octave is a level of the Laplacian pyramid (Burt and Adelson, IEEE Trans. Communications 1983).
    """
    size = (_OCTAVES_SIDE, _OCTAVES_SIDE)
    level: Field = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)
    inside: Field = np.asarray(cv2.resize(depth, size, interpolation=cv2.INTER_AREA), np.float32)
    levels = []
    for _ in _OCTAVES:
        coarser = cv2.pyrDown(level)
        levels.append((level - cv2.pyrUp(coarser), inside > 0.1))
        level, inside = coarser, cv2.pyrDown(inside)
    clouds: Field = np.zeros_like(level)
    denser *= rng.uniform(0.85, 1.15)
    for deviation, (own, inner) in reversed(list(zip(_OCTAVES, levels, strict=True))):
        white = rng.standard_normal(own.shape, dtype=np.float32)
        noise = white - cv2.pyrUp(cv2.pyrDown(white))
        missing = (denser * deviation * rng.uniform(0.9, 1.1)) ** 2 - float(np.mean(own[inner] ** 2))
        clouds = cv2.pyrUp(clouds)
        if missing > 0:
            # The larger root of mean((own + k * noise)²) = the energy drawn.
            square, mixed = float(np.mean(noise[inner] ** 2)), float(np.mean(own[inner] * noise[inner]))
            clouds += np.float32((np.sqrt(mixed**2 + square * missing) - mixed) / square) * noise
    side = image.shape[0]
    return np.asarray(cv2.resize(clouds, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _draw_ducts(lines: Field, depth: Field, rng: np.random.Generator) -> None:
    """Ducts that run from the nipple inwards."""
    side = depth.shape[0]
    nipple = np.array([float(np.count_nonzero(depth[side // 2] > 0)), side * rng.uniform(0.5, 0.58)])
    for _ in range(int(rng.integers(7, 13))):
        start = nipple + rng.normal(0, 0.02 * side, 2)
        headings = np.pi + rng.uniform(-0.9, 0.9) + np.cumsum(rng.normal(0, 0.22, 8))
        steps = 0.055 * side * np.stack([np.cos(headings), np.sin(headings)], axis=1)
        points = np.concatenate([start[None], start + np.cumsum(steps, axis=0)])
        draw_line(lines, points, rng.uniform(0.08, 0.20), rng.uniform(0.006, 0.011) * side)


def _add_masses(
    image: Field, depth: Field, kinds: tuple[tuple[str, str], ...], count: int, rng: np.random.Generator
) -> tuple[tuple[Finding, ...], list[tuple[float, float, float]]]:
    """Add the lesions, and islands of dense tissue until there are as many masses as in a breast without any."""
    findings: list[Finding] = []
    taken: list[tuple[float, float, float]] = []
    for number in range(max(count, len(kinds))):
        x, y, radius = lesion_site(depth, taken, rng)
        taken.append((x, y, radius))
        is_lesion = number < len(kinds)
        add_mass(image, dense_mass(x, y, radius, rng, is_lesion=is_lesion), rng)
        if is_lesion:
            findings.append(Finding(*kinds[number], x, y, radius))
    return tuple(findings), taken


def _draw_strands(
    lines: Field, findings: tuple[Finding, ...], masses: list[tuple[float, float, float]], rng: np.random.Generator
) -> None:
    """Draw strands about every mass: they radiate from a malignant one, run round a benign one, and point anywhere
    about an island.

    Number, length, brightness, width and place are drawn without regard to the class.
    """
    side, value = lines.shape[0], float(rng.uniform(*_STRAND_VALUE))
    for number, (x, y, radius) in enumerate(masses):
        severity = findings[number].severity if number < len(findings) else ""
        for spoke in _spread(int(rng.integers(*_STRANDS)), rng):
            anywhere = float(rng.uniform(0, 2 * np.pi))
            heading = {"malignant": spoke, "benign": spoke + np.pi / 2}.get(severity, anywhere)
            length, away = radius * float(rng.uniform(*_STRAND_LENGTH)), radius * float(rng.uniform(*_STRAND_PLACE))
            start = np.array([x, y]) + away * _unit(spoke) - length / 2 * _unit(heading)
            grey, width = value * float(rng.uniform(0.7, 1.3)), side * float(rng.uniform(*_STRAND_WIDTH))
            draw_strand(lines, start, heading, length, grey, width, bend=float(rng.normal(0, 0.1)))


def _unit(angle: float) -> NDArray[np.float64]:
    return np.array([np.cos(angle), np.sin(angle)])


def _spread(count: int, rng: np.random.Generator) -> list[float]:
    """So many directions in radians, about evenly all round."""
    turns: NDArray[np.float64] = (np.arange(count) + rng.uniform(-0.35, 0.35, count)) / count
    return (2 * np.pi * turns).tolist()


def _calcifications(depth: Field, findings: tuple[Finding, ...], rng: np.random.Generator) -> Field:
    """Calcifications: a cluster in a lesion that has them, else scattered over the breast."""
    canvas: Field = np.zeros_like(depth)
    count = int(rng.integers(6, 20))
    clusters = [finding.circle for finding in findings if finding.abnormality == "CALC" and finding.circle]
    places = np.argwhere(depth > 0.08)[:, ::-1].astype(np.float64)
    places = places[rng.integers(len(places), size=count)]
    for x, y, radius in clusters:
        places = np.array([x, y]) + rng.normal(0, 0.4 * radius, (count, 2))
    draw_calcifications(canvas, places, rng)
    return canvas
