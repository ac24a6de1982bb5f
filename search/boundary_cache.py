"""Boundary banks: the frozen trunk's output over the stored views of the development images.

Whatever lies before the boundary is constant over a search, so it runs once, and trials read what it gave. View 0 of
an image is the image itself (the only one that validation sees); the others are its augmentations. Test images are
never in a bank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOAT16_LIMIT = 30_000.0
"""Beyond it a bank keeps float32; float16 ends at 65,504."""


@dataclass(frozen=True)
class BoundaryBank:
    """Boundary values of one unfreeze depth.

    Attributes:
        depth: The unfreeze depth.
        values: float32 [views, channels] at depth 0, where rounding would move the objective, else float16
            [views, height, width, channels]; all views of the first image, then those of the second, and so on.
        offsets: Position of each image's view 0, and the total at the end, int64 [images + 1].
    """

    depth: int
    values: NDArray[Any]
    offsets: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one boundary value."""
        return self.values.shape[1:]

    @property
    def view_counts(self) -> NDArray[np.int64]:
        """Stored views of each image, int64 [images]."""
        return np.diff(self.offsets)


def fill_banks(
    trunk: Callable[[NDArray[np.float32]], Sequence[NDArray[np.float32]]],
    pixel_batches: Iterable[Any],
    *,
    depths: Sequence[int],
    views: NDArray[np.int64],
    progress: Callable[[int, int], None] | None = None,
) -> Mapping[int, BoundaryBank]:
    """Run the trunk once over all views and keep its output at every boundary in use.

    Args:
        trunk: From pixels to the boundary values, one array a depth, in the order of ``depths``.
        pixel_batches: Batches of pixels, float32 [batch, height, width, 3] in [−1, 1]: every view of every image in
            the order of the banks; the last batch may be short.
        depths: The unfreeze depths in use.
        views: Stored views of each image, int64 [images].
        progress: Called with (views done, views in all).

    Returns:
        A bank a depth.
    """
    offsets = np.concatenate([[0], np.cumsum(views)]).astype(np.int64)
    total = int(offsets[-1])
    values: dict[int, NDArray[Any]] = {}
    done = batch_size = 0
    for batch in pixel_batches:
        pixels = np.asarray(batch)
        batch_size = batch_size or len(pixels)
        # A short last batch is filled up: another shape would mean another compilation.
        filled = np.concatenate([pixels, np.zeros((batch_size - len(pixels), *pixels.shape[1:]), pixels.dtype)])
        for depth, boundary in zip(depths, trunk(filled), strict=True):
            part = np.asarray(boundary)[: len(pixels)]
            if depth not in values:
                values[depth] = np.empty((total, *part.shape[1:]), np.float32 if depth == 0 else np.float16)
            if values[depth].dtype == np.float16 and np.abs(part).max() > FLOAT16_LIMIT:
                values[depth] = values[depth].astype(np.float32)
            values[depth][done : done + len(pixels)] = part
        done += len(pixels)
        if progress:
            progress(done, total)
    if done != total:
        raise ValueError(f"Expected {total} views in the pixel batches. Received: {done}")
    return {depth: BoundaryBank(depth, values[depth], offsets) for depth in depths}
