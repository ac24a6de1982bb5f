"""The check that an image can be a film of a breast, before a model answers for pictures that nobody has looked at.

A network answers for a blank page as readily as for a breast. What is refused here is what no film can be; the bounds
lie far outside MIAS's 322 films, whose figures stand beside them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mammo_data.errors import DataError
from mammo_data.preparation.breast import FILM_BACKGROUND, find_breast

SMALLEST_SIDE = 64
"""Pixels; MIAS's films have 1,024. Below it a breast is a smudge."""

SMALLEST_CONTRAST = 16
"""Grey levels between the 1 % and the 99 % quantile; MIAS at least 163."""

SMALLEST_BREAST = 0.02
"""Part of the film that the breast covers; MIAS 0.14 to 0.90."""

MOST_WHITE = 0.5
"""Part of the film at 250 or brighter; MIAS at most 0.11. A printed page, or an inverted film, has more."""

_WHITE = 250


def require_film(image: NDArray[np.uint8], name: str) -> None:
    """Refuse what can't be a film of a breast.

    Args:
        image: uint8 [height, width].
        name: What to call the image in an error.

    Raises:
        DataError: It is tiny, has no contrast, is mostly white, or nothing on it is as large as a breast.
    """
    height, width = image.shape
    if min(height, width) < SMALLEST_SIDE:
        raise _no_film(name, f"{width} × {height} pixels", f"a film of at least {SMALLEST_SIDE} pixels a side")
    dark, bright = np.percentile(image, (1, 99))
    if bright - dark < SMALLEST_CONTRAST:
        raise _no_film(name, f"grey levels {dark:.0f} to {bright:.0f} of 255", "a film with a breast on it")
    white = float(np.mean(image >= _WHITE))
    if white > MOST_WHITE:
        raise _no_film(name, f"{white:.0%} of the pixels white", "a film, dark where there is no breast")
    breast = _breast_share(image)
    if breast < SMALLEST_BREAST:
        raise _no_film(name, f"nothing on it larger than {breast:.1%} of the film", "a film with a breast on it")


def _breast_share(image: NDArray[np.uint8]) -> float:
    """Part of the film that the breast covers; 0 where specks are all that is bright."""
    share = float(find_breast(image).small_mask.mean())
    # `find_breast` takes an image without any coherent region for breast altogether.
    if share == 1 and float(np.mean(image > FILM_BACKGROUND)) < 0.5:
        return 0.0
    return share


def _no_film(name: str, found: str, expected: str) -> DataError:
    return DataError(expected=expected, found=f"{found} in {name}", remedy="Leave the image out, or mend it.")
