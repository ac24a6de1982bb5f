"""Some views of a larger bank, read as if they were a bank of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.boundary.values import BoundaryValues


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
