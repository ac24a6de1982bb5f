"""An array that a file declares, before it is read, and one line for whatever a damaged or hostile file leads to."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search.errors import WeightsError
from search.files.damage import DAMAGE


@dataclass(frozen=True)
class StoredArray:
    """One array of a file.

    Attributes:
        name: Its name in the file.
        shape: Its shape, as declared.
        dtype: Its type, as declared; None if it is no floating-point type that numpy has.
        read: Its values; allocates no more than ``shape`` and ``dtype`` say.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype | None
    read: Callable[[], np.ndarray]


@contextmanager
def whole_file(path: Path) -> Iterator[None]:
    """Turn what a damaged file makes the libraries and the readers raise into one line.

    Raises:
        WeightsError: Instead of those.
    """
    try:
        yield
    except (*DAMAGE, LookupError, zlib.error) as error:
        raise WeightsError(
            expected=f"a whole weights file at {path}",
            found=str(error)[:300] or type(error).__name__,
            remedy="Fetch it or carry it over again, or name another one with --weights.",
        ) from error
