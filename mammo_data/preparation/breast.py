"""The breast on a film: its mask, bounding box, side of the chest wall and own coordinates, all from the pixels.

The chest wall is at the right in every odd file of MIAS and at the left in every even one, so the side must not come
from a name; nor is a box around "any pixel above 0" of use, for half the films have stray bright pixels in their
padding and two have a white frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

FILM_BACKGROUND = 18
"""Grey level (of 255) that unexposed film and padding stay at or below. Otsu's (53 to 107) trims the skin side."""

_WORKING_SIDE = 256
_EDGE, _LEVEL_WIDTH = 3, 4
_CLEAR = 250
_STRIP = 0.95
_BRIGHT = 128  # MIAS's 98 % quantile of what is not clear is at least 146
_OPENING = 7
_UNDECIDED, _ALL_OF_EDGE = 0.25, 0.6
_BRIGHTEST_AIR = 0.9  # of the breast's level; beyond it the film is an inverted one


@dataclass(frozen=True)
class BreastRegion:
    """What was found on one film.

    Attributes:
        small_mask: uint8 of 0 and 1, the breast at the working scale of about 256 pixels a side.
        shape: Height and width of the film in pixels.
        small_box: Left, top, right, bottom of ``small_mask``; right and bottom are exclusive.
        chest_wall: "left" or "right".
    """

    small_mask: NDArray[np.uint8]
    shape: tuple[int, int]
    small_box: tuple[int, int, int, int]
    chest_wall: str

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """bool [height, width], True on the breast, pectoral muscle included: removing it can remove lesions."""
        height, width = self.shape
        # Made when asked for: passes over all pixels of a film cost more than finding the breast.
        return cv2.resize(self.small_mask, (width, height), interpolation=cv2.INTER_NEAREST).view(np.bool_)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the mask in the film's pixels; right and bottom are exclusive."""
        (height, width), (rows, columns) = self.shape, self.small_mask.shape
        left, top, right, bottom = self.small_box
        # Rounded up, as a film's pixel x belongs to the small column floor(x · columns / width).
        return (
            -(-left * width // columns),
            -(-top * height // rows),
            -(-right * width // columns),
            -(-bottom * height // rows),
        )


@dataclass(frozen=True)
class BreastFrame:
    """Breast-relative coordinates of one image with the chest wall at the left.

    A place is how far down the breast, and how far from the chest wall to the skin in that row: so it means the same in
    a small and in a large breast.

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


def find_breast(image: NDArray[np.uint8]) -> BreastRegion:
    """Find the breast: threshold, opening, largest component, holes filled.

    The work is done at about 256 pixels a side, as a mask needs no more; the opening then parts labels and stray
    pixels from the breast. An image without any such component counts as breast altogether. The threshold follows the
    film where its air is no black or its breast is dim; on each of MIAS's films it is `FILM_BACKGROUND`.

    Args:
        image: uint8 [height, width].
    """
    height, width = image.shape
    scale = min(1.0, _WORKING_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = _shrink(image, size) if scale < 1 else image
    component = _breast_mask(small)
    left, top, across, down = cv2.boundingRect(component)
    chest_wall = _chest_wall(component[top : top + down, left : left + across])
    return BreastRegion(component, (height, width), (left, top, left + across, top + down), chest_wall)


def air_level(image: NDArray[np.uint8]) -> tuple[int, float]:
    """The commonest grey level along a film's edge, where there is more air and padding than breast.

    Args:
        image: uint8 [height, width].

    Returns:
        The level (on MIAS at most 8), and the part of the edge within 4 levels of it (on MIAS at least 0.49).
    """
    counts = np.bincount(_edge(image), minlength=256)
    near = np.convolve(counts, np.ones(2 * _LEVEL_WIDTH + 1), "same")
    first = max(0, int(near.argmax()) - _LEVEL_WIDTH)
    return first + int(counts[first : first + 2 * _LEVEL_WIDTH + 1].argmax()), float(near.max() / counts.sum())


def circle_coverage(mask: NDArray[np.bool_], x: float, y: float, radius: float) -> float:
    """Part of a circle's area that lies inside a mask, 0 to 1; what lies off the image counts as outside.

    Args:
        mask: bool [height, width].
        x: Column of the centre, in pixels.
        y: Row of the centre, in pixels from the top.
        radius: In pixels; below half a pixel the centre alone decides.
    """
    reach = int(np.ceil(radius)) + 1
    rows = np.arange(round(y) - reach, round(y) + reach + 1)
    columns = np.arange(round(x) - reach, round(x) + reach + 1)
    inside = (rows[:, None] - y) ** 2 + (columns[None, :] - x) ** 2 <= max(radius, 0.75) ** 2
    on_rows, on_columns = (rows >= 0) & (rows < mask.shape[0]), (columns >= 0) & (columns < mask.shape[1])
    covered = inside[np.ix_(on_rows, on_columns)] & mask[np.ix_(rows[on_rows], columns[on_columns])]
    return float(np.count_nonzero(covered) / np.count_nonzero(inside))


def _shrink(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """To ``size`` (width, height) by areas, over an exact half where that is still larger, which is the fast way."""
    height, width = image.shape
    if height % 2 == width % 2 == 0 and min(height // 2 - size[1], width // 2 - size[0]) > 0:
        image = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _breast_mask(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [height, width] of 0 and 1, never empty."""
    threshold = _threshold(image)
    breast = _largest_component(image, threshold)
    left, top, across, down = cv2.boundingRect(breast)
    if breast.sum() > _STRIP * across * down:
        # No breast is a rectangle, but a strip of film is, where its air is brighter than the padding around it.
        threshold = max(threshold, _threshold(image[top : top + down, left : left + across]))
        breast = _largest_component(image, threshold)
    return breast


def _largest_component(image: NDArray[np.uint8], threshold: float) -> NDArray[np.uint8]:
    """uint8 [height, width] of 0 and 1, never empty."""
    bright = (image > threshold).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_OPENING, _OPENING))
    # With a border of zeros the opening would eat the breast where it touches the edge of the film.
    opened = cv2.morphologyEx(bright, cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_REPLICATE)
    count, components, statistics, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    if count < 2:
        return np.ones_like(bright)
    largest = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    breast = (components == largest).astype(np.uint8)
    contours, _ = cv2.findContours(breast, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled: NDArray[np.uint8] = np.zeros_like(breast)
    cv2.drawContours(filled, contours, -1, color=1, thickness=cv2.FILLED)
    return filled


def _threshold(image: NDArray[np.uint8]) -> float:
    """The level that air stays at or below; from the film's own air, and lower where the breast is dim."""
    # Burnt-in labels are no measure of the breast.
    film = image[image < _CLEAR]
    bright = float(np.percentile(film, 98)) if film.size else 255.0
    air, share = air_level(image)
    # Black air leaves room for noise; a level near the breast's is the breast's own, unless all of the edge has it.
    highest = bright / 2 if share < _ALL_OF_EDGE else _BRIGHTEST_AIR * bright
    if not (FILM_BACKGROUND / 2 < air < highest and share > _UNDECIDED):
        return FILM_BACKGROUND * min(1.0, bright / _BRIGHT)
    edge = _edge(image)
    noise = np.percentile(edge[(edge >= air) & (edge <= air + FILM_BACKGROUND)], 90) - air
    return air + min(FILM_BACKGROUND * min(1.0, (bright - air) / _BRIGHT), _LEVEL_WIDTH + float(noise))


def _edge(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    edges = (image[:_EDGE], image[-_EDGE:], image[:, :_EDGE], image[:, -_EDGE:])
    return np.concatenate([edge.ravel() for edge in edges])


def _chest_wall(inside: NDArray[np.uint8]) -> str:
    """The side where the breast is taller: it narrows to the nipple, and is cut off straight at the chest.

    A breast that overflows the film on both sides (mdb151, mdb152: a difference of 0.14 of the height, all others of
    MIAS 0.45 and more) is decided by its top: in an oblique view it reaches up along the chest wall only.
    """
    heights = inside.mean(axis=0)
    edge = max(1, heights.size // 10)
    excess = float(heights[-edge:].mean() - heights[:edge].mean())
    if abs(excess) < _UNDECIDED:
        top = inside[: max(1, inside.shape[0] // 4)].sum(axis=0)
        excess = float(np.average(np.linspace(-1.0, 1.0, top.size), weights=top)) if top.any() else 0.0
    return "right" if excess > 0 else "left"
