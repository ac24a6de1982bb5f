"""Boundary banks: the frozen trunk's output over the stored views of the development images.

Whatever lies before the boundary is constant over a search, so it runs once, and trials read what it gave. View 0 of
an image is the image itself (the only one that validation sees); the others are its augmentations. Test images are
never in a bank. A bank whose values don't fit the budget gives the same values by running the trunk when asked.

Some views of a larger bank, read as if they were a bank of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from search.errors import UserError

Trunk = Callable[[NDArray[np.float32]], Sequence[NDArray[np.float32]]]
"""From pixels, float32 [batch, height, width, 3] in [−1, 1], to the boundary values of each depth it was built for."""
PixelsOf = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""From numbers of stored views to their pixels, float32 [n, height, width, 3] in [−1, 1]."""
FLOAT16_LIMIT = 30_000.0
"""Beyond it a bank keeps float32; float16 ends at 65,504."""


class BoundaryValues(Protocol):
    """What a trial reads: indexed with view numbers of any shape, it gives an array of that shape and one more value's.

    A numpy array, a memory map, and `RecomputedValues` are such; `search.boundary.on_device` gives a tensor.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(views, ...)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """float16 or float32."""

    def __getitem__(self, rows: Any) -> Any:
        """Values of the views ``rows``."""


@dataclass(frozen=True)
class BoundaryBank:
    """Boundary values of one unfreeze depth.

    Attributes:
        depth: The unfreeze depth.
        values: [views, channels] at depth 0, [views, height, width, channels] beyond; all views of the first image,
            then those of the second, and so on.
        offsets: Position of each image's view 0, and the total at the end, int64 [images + 1].
    """

    depth: int
    values: BoundaryValues
    offsets: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one boundary value."""
        return tuple(self.values.shape[1:])

    @property
    def view_counts(self) -> NDArray[np.int64]:
        """Stored views of each image, int64 [images]."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class RecomputedValues:
    """Boundary values that are not kept: each reading runs the trunk, and rounds as the bank would have.

    The trunk always gets whole batches of one size, for that is what a bank is filled with, and its bits may depend on
    the size (not on who else is in the batch).

    Attributes:
        trunk: For this one depth.
        pixels_of: The pixels of stored views.
        shape: (stored views, and the shape of one boundary value).
        dtype: What the bank would hold.
        batch_size: Size of the trunk's batches.
    """

    trunk: Trunk
    pixels_of: PixelsOf
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    batch_size: int

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """Values of the views ``rows``."""
        wanted = np.asarray(rows, dtype=np.int64)
        flat = wanted.reshape(-1)
        values = np.empty((len(flat), *self.shape[1:]), self.dtype)
        for start in range(0, len(flat), self.batch_size):
            part = flat[start : start + self.batch_size]
            (whole,) = self.trunk(whole_batch(self.pixels_of(part), self.batch_size))
            boundary = whole[: len(part)]
            if self.dtype == np.float16 and np.abs(boundary).max() > FLOAT16_LIMIT:
                raise UserError(
                    expected=f"boundary values of at most {FLOAT16_LIMIT:g}, for they are rounded to float16",
                    found=f"{np.abs(boundary).max():g}",
                    remedy="Raise cache.max_gb, so that this depth is stored in float32.",
                )
            values[start : start + len(part)] = boundary
        return values.reshape(*wanted.shape, *self.shape[1:])


def bank_dtype(depth: int) -> np.dtype[Any]:
    """What a bank holds: float32 at depth 0, where rounding moved the objective by 0.003 to 0.006, else float16."""
    return np.dtype(np.float32 if depth == 0 else np.float16)


def whole_batch(pixels: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Fill a short batch up with zeros: another shape would mean another compilation, and perhaps other bits."""
    if len(pixels) == size:
        return pixels
    return np.concatenate([pixels, np.zeros((size - len(pixels), *pixels.shape[1:]), pixels.dtype)])


class SelectedValues:
    """Boundary values of chosen views; whoever holds it can reach no others.

    Args:
        values: Of all views, [views, ...].
        positions: Which of them, int64 [chosen].
    """

    def __init__(self, values: BoundaryValues, positions: NDArray[np.int64]) -> None:
        self.shape = (len(positions), *values.shape[1:])
        self.dtype = values.dtype
        self._values = values
        self._positions = positions

    def __getitem__(self, rows: Any) -> Any:
        """Values of the chosen views ``rows``, counted among the chosen."""
        return self._values[self._positions[rows]]

    def kept_by(self, keeper: Callable[[BoundaryValues], BoundaryValues]) -> SelectedValues:
        """The same views, of all values as somebody else keeps them."""
        return SelectedValues(keeper(self._values), self._positions)
