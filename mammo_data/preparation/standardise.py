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
from mammo_data.preparation.settings import PreparationSettings

UNLOCATABLE_COVERAGE = 0.1
"""A circle with less of its area than this on the breast marks nothing: 0 for mdb212 and mdb214, at least 0.58 else."""
_LABEL_MARGIN = 0.02
_CLAHE_TILES = 8


@dataclass(frozen=True)
class Placement:
    """The way from a film's pixels to the canvas's.

    Attributes:
        film_width: Width of the film in pixels.
        mirrored: Whether the film is mirrored to bring the chest wall to the left.
        box: Left, top, right, bottom of the crop in the film as it is; right and bottom are exclusive.
        size: Width and height of the crop on the canvas, whole pixels; it lies at the left edge.
        top: First canvas row of the crop.
    """

    film_width: int
    mirrored: bool
    box: tuple[int, int, int, int]
    size: tuple[int, int]
    top: int

    def carry(self, finding: Finding) -> Finding:
        """The finding in canvas pixels; one without a place stays without."""
        if finding.circle is None:
            return finding
        (x, y, radius), (left, top, right, bottom) = finding.circle, self.box
        scale_x, scale_y = self.size[0] / (right - left), self.size[1] / (bottom - top)
        if self.mirrored:
            x, left = self.film_width - 1 - x, self.film_width - right
        # Coordinates name pixel centres, hence the halves.
        return replace(
            finding,
            x=(x + 0.5 - left) * scale_x - 0.5,
            y=(y + 0.5 - top) * scale_y - 0.5 + self.top,
            radius=radius * (scale_x * scale_y) ** 0.5,
            film_radius=radius,
        )


def standardise(
    image: NDArray[np.uint8],
    findings: tuple[Finding, ...],
    settings: PreparationSettings,
    region: BreastRegion | None = None,
) -> tuple[NDArray[np.uint8], tuple[Finding, ...]]:
    """Bring one film and its findings to the canvas.

    Args:
        image: uint8 [height, width].
        findings: In the film's pixels.
        settings: What to do.
        region: The breast, where it has been found already.

    Returns:
        uint8 [S, S] with the chest wall at the left edge and black padding, and the findings in its pixels. A finding
        whose circle lies in the background loses its place: it can't be located.
    """
    region = region or find_breast(image)
    placement = _place(image.shape, region, settings)
    left, top, right, bottom = placement.box
    small = resized(image[top:bottom, left:right], placement.size)
    # Labels go and sides change on the small image: the same, for a fraction of the work.
    if settings.remove_labels:
        small = cv2.bitwise_and(small, small, mask=_kept(region, settings, placement.size))
    if placement.mirrored:
        small = cv2.flip(small, 1)
    canvas: NDArray[np.uint8] = np.zeros((settings.image_size, settings.image_size), np.uint8)
    canvas[placement.top : placement.top + small.shape[0], : small.shape[1]] = small
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
    left, top, right, bottom = box = region.box if settings.crop else (0, 0, shape[1], shape[0])
    size = settings.image_size
    scale = size / max(right - left, bottom - top)
    width, height = (min(size, max(1, round(side * scale))) for side in (right - left, bottom - top))
    return Placement(shape[1], region.chest_wall == "right", box, (width, height), (size - height) // 2)


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
