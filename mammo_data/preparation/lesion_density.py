"""Where in a breast lesions lie, and where to look in a breast that has none.

Positions are breast-relative: how far down the breast, and how far from the chest wall to the skin in that row. So a
place means the same in a small and in a large breast, and whatever is drawn lies on the breast and as far from the
skin as lesions do: the black behind the skin in a crop must not tell which crop was drawn and which was annotated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BANDWIDTH = 0.3
"""Of the kernel, in standard deviations of the positions. Scott's rule (0.48 for 90 positions) supposes one normal
hump; lesions crowd into the upper outer quadrant, and smoothing by that much moves the normal centres out of it."""


@dataclass(frozen=True)
class BreastFrame:
    """Breast-relative coordinates of one image with the chest wall at the left.

    Attributes:
        top: First row of the breast.
        left: First column of the breast in each of its rows, int64 [rows].
        right: Last column of the breast in each of its rows, int64 [rows].
    """

    top: int
    left: NDArray[np.int64]
    right: NDArray[np.int64]

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> BreastFrame:
        """The frame of a connected mask, bool [height, width], not empty."""
        rows = np.flatnonzero(mask.any(axis=1))
        inside = mask[rows[0] : rows[-1] + 1]
        width = mask.shape[1]
        return cls(int(rows[0]), inside.argmax(axis=1), width - 1 - inside[:, ::-1].argmax(axis=1))

    def relative(self, x: float, y: float) -> tuple[float, float]:
        """(depth, height) of a pixel, each in [0, 1]; depth counts from the chest wall, height from the top.

        A place beside the breast counts as the nearest one of its row, or of the first or last row.
        """
        row = int(np.clip(round(y) - self.top, 0, len(self.left) - 1))
        span = max(1, int(self.right[row] - self.left[row]))
        return float(np.clip((x - self.left[row]) / span, 0.0, 1.0)), row / max(1, len(self.left) - 1)

    def pixel(self, depth: float, height: float) -> tuple[float, float]:
        """Column and row of a breast-relative position."""
        row = round(height * (len(self.left) - 1))
        return float(self.left[row] + depth * (self.right[row] - self.left[row])), float(self.top + row)


@dataclass(frozen=True)
class LesionDensity:
    """A kernel-smoothed density of lesion positions (Parzen, 1962), Gaussian, reflected at the breast's edge.

    Attributes:
        positions: (depth, height) of each lesion, float64 [n, 2], n above 0.
    """

    positions: NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """One position: a lesion's, moved by the kernel."""
        centre = self.positions[rng.integers(len(self.positions))]
        moved = centre + rng.normal(size=2) * BANDWIDTH * self.positions.std(axis=0)
        depth, height = 1 - np.abs(1 - np.abs(moved) % 2)
        return float(depth), float(height)
