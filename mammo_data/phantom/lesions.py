"""Lesions of the synthetic films, and islands of dense tissue, which mean nothing.

All are masses of one kind, as large, as bright and as bumpy; an island's edge is a little softer. About each lie as
many strands (`mammo_data.phantom.breast`), and which way they point is the class: they radiate from a malignant lesion,
run round a benign one like a capsule, and point anywhere about an island. So no statistic of a whole film's brightness
or texture tells much; what has to be seen is how place and direction go together. MIAS's names of abnormalities are
given out at random, but for CALC, which has the film's calcifications in a cluster.
"""

from __future__ import annotations

import numpy as np

from mammo_data.phantom.shapes import Field, Mass

# In the frame of the breast, lengths as parts of the film's side. How hard the films are was set by hand on generator
# seeds 103, 105 and 106, none of them the demonstration's; tests/benchmarks/bench_phantom.py measures it.
_RADIUS = (0.10, 0.15)
_EDGE = 0.5
"""Radius of a mass as a part of its circle's, on which its strands lie."""
_CONTRAST = (0.35, 0.6)
_SOFTNESS = {"lesion": (0.2, 0.5), "island": (0.3, 0.9)}
_RAGGEDNESS = (0.0, 0.06)
_ELONGATION = (1.0, 1.3)


def lesion_site(
    depth: Field, taken: list[tuple[float, float, float]], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Centre and radius of the circle of a lesion or an island, well inside the breast and apart from the others."""
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


def dense_mass(x: float, y: float, radius: float, rng: np.random.Generator, *, is_lesion: bool) -> Mass:
    """Mass of a lesion or an island.

    Args:
        x: Centre's column in pixels.
        y: Centre's row.
        radius: Of its circle, in pixels.
        rng: Where all draws come from.
        is_lesion: Which of the two.
    """
    return Mass(
        x,
        y,
        radius * _EDGE,
        float(rng.uniform(*_CONTRAST)),
        softness=float(rng.uniform(*_SOFTNESS["lesion" if is_lesion else "island"])),
        raggedness=float(rng.uniform(*_RAGGEDNESS)),
        elongation=float(rng.uniform(*_ELONGATION)),
    )
