"""One film brought to one square canvas: chest wall left, cropped to the breast, resized with the aspect ratio kept.

Every step depends on the one image alone, so preparing all images at once leaks nothing between the sides of a split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import Finding
from mammo_data.preparation.breast import BreastRegion, circle_coverage, find_breast

UNLOCATABLE_COVERAGE = 0.1
"""A circle with less of its area than this on the breast marks nothing: 0 for mdb212 and mdb214, at least 0.58 else."""

_LABEL_MARGIN = 0.02
_CLAHE_TILES = 8


@dataclass(frozen=True)
class PreparationSettings:
    """How films become the arrays that a search reads; constant within a search.

    Attributes:
        image_size: Side of the square canvas in pixels.
        crop: Crop to the breast's bounding box; a median lesion is 9 px at 224 px otherwise.
        remove_labels: Blacken what lies off the breast (labels, wedges, white frames, stray pixels), with a margin of
            2 % of the film's longer side around the mask.
        clahe: Equalise contrast locally, see `equalise_contrast`.
        clahe_limit: How steep the local grey curve may get, relative to one that changes nothing; above 0.
    """

    image_size: int = 448
    crop: bool = True
    remove_labels: bool = True
    clahe: bool = False
    clahe_limit: float = 2.0

    def __post_init__(self) -> None:
        if not 8 <= self.image_size <= 4096:
            raise ValueError(f"image_size must be 8 to 4096 pixels; received {self.image_size}")
        if not 0 < self.clahe_limit < float("inf"):
            raise ValueError(f"clahe_limit must be above 0; received {self.clahe_limit}")


@dataclass(frozen=True)
class Placement:
    """The way from a film's pixels to the canvas's.

    Attributes:
        film_width: Width of the film in pixels.
        mirrored: Whether the film was mirrored to bring the chest wall to the left.
        left: First column of the crop, in the mirrored film.
        top: First row of the crop.
        scale_x: Canvas pixels a film pixel, across.
        scale_y: The same, down; differs from ``scale_x`` by rounding to whole pixels only.
        shift_x: First canvas column of the crop.
        shift_y: First canvas row of the crop.
    """

    film_width: int
    mirrored: bool
    left: int
    top: int
    scale_x: float
    scale_y: float
    shift_x: int
    shift_y: int

    def carry(self, finding: Finding) -> Finding:
        """The finding in canvas pixels; one without a place stays without."""
        if finding.circle is None:
            return finding
        x, y, radius = finding.circle
        x = self.film_width - 1 - x if self.mirrored else x
        # Coordinates name pixel centres, hence the halves.
        return replace(
            finding,
            x=(x + 0.5 - self.left) * self.scale_x - 0.5 + self.shift_x,
            y=(y + 0.5 - self.top) * self.scale_y - 0.5 + self.shift_y,
            radius=radius * (self.scale_x * self.scale_y) ** 0.5,
            film_radius=radius,
        )


def standardise(
    image: NDArray[np.uint8], findings: tuple[Finding, ...], settings: PreparationSettings
) -> tuple[NDArray[np.uint8], tuple[Finding, ...]]:
    """Bring one film and its findings to the canvas.

    Args:
        image: uint8 [height, width].
        findings: In the film's pixels.
        settings: What to do.

    Returns:
        uint8 [S, S] with the chest wall at the left edge and black padding, and the findings in its pixels. A finding
        whose circle lies in the background loses its place: it can't be located.
    """
    region = find_breast(image)
    placement = _place(image.shape, region, settings)
    left, top, right, bottom = _crop_box(image.shape, region, settings)
    width, height = round((right - left) * placement.scale_x), round((bottom - top) * placement.scale_y)
    small = resized(image[top:bottom, left:right], (width, height))
    # Labels go and sides change on the small image: the same, for a fraction of the work.
    if settings.remove_labels:
        small = cv2.bitwise_and(small, small, mask=_kept(region, settings, (width, height)))
    if placement.mirrored:
        small = cv2.flip(small, 1)
    canvas: NDArray[np.uint8] = np.zeros((settings.image_size, settings.image_size), np.uint8)
    x, y = placement.shift_x, placement.shift_y
    canvas[y : y + height, x : x + width] = small
    if settings.clahe:
        canvas = equalise_contrast(canvas, settings.clahe_limit)
    return canvas, tuple(placement.carry(_if_locatable(finding, region)) for finding in findings)


def resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """An image in another size (width, height): by areas where it shrinks, linearly where it grows.

    Areas are averaged, so that no small calcification falls between samples; they can't enlarge smoothly.
    """
    shrinks = size[0] <= image.shape[1]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8)


def equalise_contrast(image: NDArray[np.uint8], limit: float) -> NDArray[np.uint8]:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994) in 8 × 8 tiles.

    Args:
        image: uint8 [height, width].
        limit: OpenCV's clip limit.

    Returns:
        uint8 [height, width]; black stays black, for equalising would lift the padding by the film's own histogram.
    """
    equalised = cv2.createCLAHE(clipLimit=limit, tileGridSize=(_CLAHE_TILES, _CLAHE_TILES)).apply(image)
    return np.asarray(np.where(image > 0, equalised, 0), dtype=np.uint8)


def _place(shape: tuple[int, ...], region: BreastRegion, settings: PreparationSettings) -> Placement:
    left, top, right, bottom = _crop_box(shape, region, settings)
    width, height, size = right - left, bottom - top, settings.image_size
    scale = size / max(width, height)
    new_width, new_height = (min(size, max(1, round(side * scale))) for side in (width, height))
    mirrored = region.chest_wall == "right"
    return Placement(
        film_width=shape[1],
        mirrored=mirrored,
        left=shape[1] - right if mirrored else left,
        top=top,
        scale_x=new_width / width,
        scale_y=new_height / height,
        shift_x=0,
        shift_y=(size - new_height) // 2,
    )


def _crop_box(shape: tuple[int, ...], region: BreastRegion, settings: PreparationSettings) -> tuple[int, int, int, int]:
    return region.box if settings.crop else (0, 0, shape[1], shape[0])


def _kept(region: BreastRegion, settings: PreparationSettings, size: tuple[int, int]) -> NDArray[np.uint8]:
    """What stays of a crop, uint8 of ``size`` (width, height): the breast, dilated, for it is dim at the skin line."""
    small = region.small_mask
    margin = max(1, round(_LABEL_MARGIN * max(small.shape)))
    # A box filter separates, so its cost does not grow with the margin as an ellipse's would.
    dilated = cv2.dilate(small, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
    if settings.crop:
        left, top, right, bottom = region.small_box
        dilated = dilated[top:bottom, left:right]
    return np.asarray(cv2.resize(dilated, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def _if_locatable(finding: Finding, region: BreastRegion) -> Finding:
    if finding.circle is None or circle_coverage(region.mask, *finding.circle) >= UNLOCATABLE_COVERAGE:
        return finding
    return replace(finding, x=None, y=None, radius=None)
