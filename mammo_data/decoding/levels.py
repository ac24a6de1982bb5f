"""The range of grey levels that a film itself uses, where its file has room for more.

A detector of 12 bits fills 12 of the 14 or 16 bits that many files state, or a 16-bit PNG has; by the file's own range
such a film would be dark. The range is a number of whole bits, so that films of one detector are scaled alike.

A film's grey levels are counted once, and what is done to them is done to a table of them, of which a film's pixels are
then made a strip at a time: so no copy of a film in 64 bits is ever there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEPTHS = (8, 10, 12, 14, 16)
"""Bits that detectors and scanners have."""

MOST_LABEL = 0.05
"""Part of a film that burnt-in labels cover."""

_STRIP = 2**20  # pixels
_SPARE = 2  # bits between the film's white and a label's
_STRAY = 3e-4
_LABEL_EDGE = 0.98


def whole_bits(largest: int) -> int:
    """White of the least depth that holds a value of 0 to 65,535."""
    return next(2**depth - 1 for depth in DEPTHS if largest < 2**depth)


def counts_of(pixels: NDArray[np.unsignedinteger], levels: int = 2**16) -> NDArray[np.int64]:
    """How often each value occurs, int64 [levels].

    Args:
        pixels: Values below ``levels``, [height, width].
        levels: Length of the answer.
    """
    counts: NDArray[np.int64] = np.zeros(levels, np.int64)
    for strip in strips(pixels):
        counts += np.bincount(pixels[strip].ravel(), minlength=levels)
    return counts


def looked_up(pixels: NDArray[np.unsignedinteger], table: NDArray[Any]) -> NDArray[Any]:
    """Each pixel's entry of a table, of the shape of ``pixels`` and the type of ``table``."""
    found = np.empty(pixels.shape, table.dtype)
    for strip in strips(pixels):
        found[strip] = table[pixels[strip]]
    return found


def strips(pixels: NDArray[Any]) -> Iterator[slice]:
    """Rows of a picture, about a million pixels at a time."""
    step = max(1, _STRIP // max(1, pixels[:1].size))
    return (slice(first, first + step) for first in range(0, len(pixels), step))


def own_white(counts: NDArray[np.int64], stated: int) -> int:
    """White of a film: the largest value of the least depth that holds it, labels left aside.

    A label that was burnt in at the largest value of the container, far above the film's own, does not count.

    Args:
        counts: How often each stored value occurs; black is 0.
        stated: White by the file's own word.

    Returns:
        At most ``stated``, and at least 255 where that is.
    """
    counts = counts[: int(np.flatnonzero(counts)[-1]) + 1]
    pixels = int(counts.sum())
    largest, label = counts.size - 1, int((counts.size - 1) * _LABEL_EDGE)
    in_label = int(counts[label:].sum())
    if in_label <= MOST_LABEL * pixels:
        most = min(_STRAY * pixels, in_label)
        for white in (2**depth - 1 for depth in DEPTHS):
            if (white + 1) << _SPARE > largest + 1:
                break
            # Nothing but a label's blurred edge lies right above the film's white, nor much of it up to the label.
            edge = counts[white + 1 : label]
            if edge[: 3 * (white + 1)].sum() <= most and edge.sum() <= in_label:
                return min(stated, white)
    return min(stated, whole_bits(largest))


def own_range(pixels: NDArray[np.integer], bits: int, *, signed: bool) -> tuple[int, int]:
    """Black and white of a film in its stored values; signed ones below zero have black as far below as white above.

    Args:
        pixels: Stored values that occur on the film, padding left aside; of any shape.
        bits: The depth that the file states.
        signed: Whether it states signed values.
    """
    least, largest = (int(pixels.min()), int(pixels.max())) if pixels.size else (0, 0)
    if least >= 0:
        return 0, min(2 ** (bits - signed) - 1, whole_bits(largest))
    half = (min(2**bits - 1, whole_bits(2 * max(-1 - least, largest) + 1)) + 1) // 2
    return -half, half - 1
