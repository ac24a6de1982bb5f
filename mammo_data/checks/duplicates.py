"""Duplicates: images that show the same film, turned, mirrored, resized or re-encoded, found by their thumbnails.

The same image under two names is what makes a held-out patient a training patient in disguise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo_data.preparation.breast import FILM_BACKGROUND

THUMBNAIL_SIDE = 32
SAME_FILM = 0.999
"""Correlation of thumbnails. The most alike of MIAS's different films reach 0.9925; a copy at 400 pixels and JPEG
quality 50 has at least 0.9999, one turned by 3 degrees 0.97 (such a copy is not found)."""
_BLOCK = 1024
SAME_ABOVE = 0.9
"""Correlation of fine structure. MIAS: copies saved as JPEG of quality 40 stay above 0.98, the most alike images of
different women reach 0.76."""
_SIDE = 96
_COARSE = 4.0
_SKIN = 11


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A small standardised picture of an image: float32 [32, 32] of mean 0 and norm 1; zeros for an even image.

    Args:
        image: uint8 [height, width].
    """
    small = cv2.resize(image, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    return _standardised(small)


def near_duplicates(thumbnails: NDArray[np.float32]) -> list[tuple[int, int, float]]:
    """Pairs of images that are the same but for a quarter turn, a mirror, a size or an encoding.

    Args:
        thumbnails: float32 [n, 32, 32] from `thumbnail`.

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
        for row, column in np.argwhere(best >= SAME_FILM).tolist():
            if start + row < column:
                found.append((start + row, column, float(best[row, column])))
    return sorted(found)


@dataclass(frozen=True)
class DuplicatePair:
    """Two images of different patients with the same pixels, or nearly so.

    Attributes:
        first: Row of one.
        second: Row of the other, the larger.
        correlation: Of their fine structure; 1 for equal pixels.
    """

    first: int
    second: int
    correlation: float


def duplicate_pairs(images: NDArray[np.uint8], patient_ids: Sequence[str]) -> tuple[DuplicatePair, ...]:
    """Find images of one patient that are images of another too, mirror images included.

    The outline of a breast makes all of them alike, so it is the fine structure that is compared, at 96 pixels a side.

    Args:
        images: uint8 [n, S, S], whole images: crops with little else than the skin line are alike by nature.
        patient_ids: Patient of each, n; images of one patient are not compared.
    """
    thumbnails = np.stack([_fine_structure(np.asarray(image)) for image in images])
    flat = thumbnails.reshape(len(thumbnails), -1)
    mirrored = (thumbnails, thumbnails[:, ::-1], thumbnails[:, :, ::-1], thumbnails[:, ::-1, ::-1])
    likeness = np.max([flat @ np.ascontiguousarray(turned).reshape(flat.shape).T for turned in mirrored], axis=0)
    patients = np.array(patient_ids)
    rows, columns = np.nonzero(np.triu(likeness > SAME_ABOVE, 1) & (patients[:, None] != patients[None, :]))
    return tuple(
        DuplicatePair(int(first), int(second), float(min(1.0, likeness[first, second])))
        for first, second in zip(rows, columns, strict=True)
    )


def _fine_structure(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 [side, side] of mean 0 and length 1; all 0 for an image without structure."""
    side = min(_SIDE, image.shape[0])
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = small - cv2.GaussianBlur(small, (0, 0), _COARSE)
    # The skin line would outweigh everything else.
    tissue = cv2.erode((small > FILM_BACKGROUND).astype(np.uint8), np.ones((_SKIN, _SKIN), np.uint8))
    return _standardised(np.where(tissue > 0, fine, 0))


def _standardised(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean 0 and norm 1; all 0 for an even image."""
    image = image - image.mean()
    norm = float(np.linalg.norm(image))
    return (image / norm if norm > 0 else image).astype(np.float32)
