"""Lesions of the synthetic films, whose shape is their class, and islands of dense tissue, which mean nothing.

benign: CIRC is a smooth, well-circumscribed mass, MISC the same with a softer edge.
malignant: SPIC is an irregular core that strands radiate from, ARCH such strands with hardly a core, CALC an irregular
core with strands and a cluster of calcifications.

The strands are drawn in `mammo_data.phantom.breast`, for every breast has as many. Benign edges may be bumpy, too, and
some as much as a malignant core's.
"""

from __future__ import annotations

import numpy as np

from mammo_data.phantom.shapes import Field, Mass

# In the frame of the breast, lengths as parts of the film's side. How hard the films are was set by hand on generator
# seeds 101 to 104, none of them the demonstration's; tests/benchmarks/bench_phantom.py measures it.
_RADIUS = (0.10, 0.15)
_CONTRAST = (0.5, 0.7)
_ISLAND_CONTRAST = (0.15, 0.35)
_SOFTNESS = {"CIRC": (0.10, 0.25), "MISC": (0.20, 0.45), "SPIC": (0.25, 0.60), "ARCH": (0.5, 0.9), "CALC": (0.25, 0.60)}
_RAGGEDNESS = {"benign": (0.0, 0.04), "malignant": (0.05, 0.12)}
_EDGE = {"CIRC": 0.75, "MISC": 0.75, "SPIC": 0.55, "ARCH": 0.35, "CALC": 0.50}
_FAINTER = {"ARCH": 0.6}


def lesion_site(
    depth: Field, taken: list[tuple[float, float, float]], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Centre and radius of a lesion or an island, well inside the breast and apart from the others."""
    side = depth.shape[0]
    step = max(1, side // 64)
    radius = float(rng.uniform(*_RADIUS)) * side
    rows, columns = (step * places for places in np.nonzero(depth[::step, ::step] > 0.25))
    inner = (rows > 0.22 * side) & (rows < 0.86 * side) & (columns > 1.1 * radius)
    rows, columns = rows[inner], columns[inner]
    for x, y, other in taken:
        apart = np.hypot(columns - x, rows - y) > radius + other
        if apart.any():
            rows, columns = rows[apart], columns[apart]
    chosen = int(rng.integers(rows.size))
    return float(columns[chosen]), float(rows[chosen]), radius


def lesion_mass(abnormality: str, severity: str, x: float, y: float, radius: float, rng: np.random.Generator) -> Mass:
    """Mass of a lesion.

    Args:
        abnormality: CIRC, MISC, SPIC, ARCH or CALC.
        severity: "benign" or "malignant".
        x: Centre's column in pixels.
        y: Centre's row.
        radius: In pixels.
        rng: Where all draws come from.
    """
    return Mass(
        x,
        y,
        radius * _EDGE[abnormality],
        float(rng.uniform(*_CONTRAST)) * _FAINTER.get(abnormality, 1.0),
        softness=float(rng.uniform(*_SOFTNESS[abnormality])),
        raggedness=float(rng.uniform(*_RAGGEDNESS[severity])),
        elongation=float(rng.uniform(1.0, 1.3)),
    )


def island(x: float, y: float, radius: float, rng: np.random.Generator) -> Mass:
    """Island of dense tissue: about as large as a lesion, fainter, without an edge."""
    return Mass(
        x,
        y,
        radius * float(rng.uniform(0.45, 0.75)),
        float(rng.uniform(*_ISLAND_CONTRAST)),
        softness=float(rng.uniform(0.7, 1.4)),
        elongation=float(rng.uniform(1.0, 1.8)),
    )
