"""Images that show the same film: turned, mirrored, resized or re-encoded copies, found by their thumbnails."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

THUMBNAIL_SIDE = 32
SAME_FILM = 0.999
"""Correlation of thumbnails. The most alike of MIAS's different films reach 0.9925; a copy at 400 pixels and JPEG
quality 50 has at least 0.9999, one turned by 3 degrees 0.97 (such a copy is not found)."""

_BLOCK = 1024


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A small standardised picture of an image: float32 [32, 32] of mean 0 and norm 1; zeros for an even image.

    Args:
        image: uint8 [height, width].
    """
    small = cv2.resize(image, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean()
    norm = float(np.linalg.norm(small))
    return (small / norm if norm > 0 else small).astype(np.float32)


def near_duplicates(thumbnails: NDArray[np.float32], threshold: float = SAME_FILM) -> list[tuple[int, int, float]]:
    """Pairs of images that are the same but for a quarter turn, a mirror, a size or an encoding.

    Args:
        thumbnails: float32 [n, 32, 32] from `thumbnail`.
        threshold: Correlation from which two count as the same.

    Returns:
        (i, j, correlation) with i < j, the largest over the eight turns and mirrors, sorted by i and j.
    """
    n = len(thumbnails)
    flat = thumbnails.reshape(n, -1)
    variants = [
        np.rot90(mirrored, turns, axes=(1, 2)).reshape(n, -1)
        for mirrored in (thumbnails, thumbnails[:, :, ::-1])
        for turns in range(4)
    ]
    found: list[tuple[int, int, float]] = []
    # In blocks of rows, so that memory grows with n and not with its square.
    for start in range(0, n, _BLOCK):
        block = flat[start : start + _BLOCK]
        best = np.max([block @ variant.T for variant in variants], axis=0)
        for row, column in np.argwhere(best >= threshold).tolist():
            if start + row < column:
                found.append((start + row, column, float(best[row, column])))
    return sorted(found)
