"""The one rule for what is no film of a breast: whoever trains, checks, shows or predicts reads films through it.

A network answers for a blank page as readily as for a breast. What is refused here is what no film can be; the bounds
lie far outside MIAS's 322 films, whose figures stand beside them. Colours and unprocessed DICOM are refused when the
file is decoded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mammo_data.decoding.decode import decode_grey
from mammo_data.decoding.levels import counts_of
from mammo_data.errors import NoFilmError
from mammo_data.preparation.breast import FILM_BACKGROUND, BreastRegion, air_level, find_breast

SMALLEST_SIDE = 64
"""Pixels; MIAS's films have 1,024. Below it a breast is a smudge."""

SMALLEST_CONTRAST = 16
"""Grey levels between the 1 % and the 99 % quantile; MIAS at least 163."""

SMALLEST_BREAST = 0.02
"""Part of the film that the breast covers; MIAS 0.14 to 0.90."""

MOST_WHITE = 0.5
"""Part of the film at 250 or brighter; MIAS at most 0.11. A printed page, or an inverted film, has more."""

WHITE_EDGE = 0.9
"""Part of the film's brightest levels that the commonest level of its edge stays below; MIAS 0.05 at most."""

MOST_OF_ONE_LEVEL = 0.8
"""Part of what is not dark that is one and the same white; MIAS at most 0.16. A lesion's mask has nothing else."""

_WHITE = 250
_MOST_OF_EDGE = 0.4
_FRAME_EDGE = 2  # pixels of a frame's blurred edge


def read_film(data: bytes, name: str) -> tuple[NDArray[np.uint8], BreastRegion]:
    """Decode a film and refuse what can't be one.

    Args:
        data: The encoded file.
        name: What to call it in an error.

    Returns:
        The film, uint8 [height, width], and the breast on it.

    Raises:
        DataError: The bytes are no image.
        NoFilmError: They are one of something else.
    """
    image = decode_grey(data, name)
    return image, require_film(image, name)


def require_film(image: NDArray[np.uint8], name: str) -> BreastRegion:
    """Refuse what can't be a film of a breast.

    Args:
        image: uint8 [height, width].
        name: What to call the image in an error.

    Returns:
        The breast that was found.

    Raises:
        NoFilmError: It is tiny, has no contrast, is a mask, mostly white, white along its edge or a dark frame's, or
            nothing on it is as large as a breast.
    """
    height, width = image.shape
    if min(height, width) < SMALLEST_SIDE:
        raise _no_film(name, f"{width} × {height} pixels", f"a film of at least {SMALLEST_SIDE} pixels a side")
    counts = counts_of(image, 256)
    below = counts.cumsum() / image.size
    dark, bright = (int(level) for level in np.searchsorted(below, (0.01, 0.99)))
    if bright - dark < SMALLEST_CONTRAST:
        raise _no_film(name, f"grey levels {dark} to {bright} of 255", "a film with a breast on it")
    light = counts[dark + SMALLEST_CONTRAST :]
    mask = float(counts[_WHITE:].max() / light.sum())
    if mask > MOST_OF_ONE_LEVEL:
        raise _no_film(name, f"one white in {mask:.0%} of what is not dark", "a film's grey levels, not a mask")
    white = float(counts[_WHITE:].sum() / image.size)
    if white > MOST_WHITE:
        raise _no_film(name, f"{white:.0%} of the pixels white", "a film, dark where there is no breast")
    for part in (image, _within_frame(image)):
        air, share = air_level(part)
        if air > WHITE_EDGE * bright and share > _MOST_OF_EDGE:
            raise _no_film(name, f"a white edge (grey level {air} of 255)", "a film, dark where there is no breast")
    region = find_breast(image)
    breast = float(region.small_mask.mean())
    # `find_breast` takes an image without any coherent region for breast altogether.
    if breast == 1 and below[FILM_BACKGROUND] > 0.5:
        breast = 0.0
    if breast < SMALLEST_BREAST:
        raise _no_film(name, f"nothing on it larger than {breast:.1%} of the film", "a film with a breast on it")
    return region


def _within_frame(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a dark frame encloses, as a scanner leaves it around an inverted film; without one the image itself."""
    light = image > FILM_BACKGROUND
    rows, columns = (np.flatnonzero(light.mean(axis=axis) > _MOST_OF_EDGE) for axis in (1, 0))
    if min(rows.size, columns.size) < SMALLEST_SIDE:
        return image
    top, left = rows[0] + _FRAME_EDGE, columns[0] + _FRAME_EDGE
    return image[top : rows[-1] + 1 - _FRAME_EDGE, left : columns[-1] + 1 - _FRAME_EDGE]


def _no_film(name: str, found: str, expected: str) -> NoFilmError:
    return NoFilmError(expected=expected, found=f"{found} in {name}", remedy="Leave the image out, or mend it.")
