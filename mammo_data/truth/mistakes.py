"""Mistakes of a table, collected: whoever corrects one sees all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mammo_data.errors import DataError


class Mistakes(list[DataError]):
    """What is wrong with a table, in the order in which it was found."""

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keep what the block raises; what follows it goes on."""
        try:
            yield
        except DataError as mistake:
            self.append(mistake)

    def require_none(self) -> None:
        """End the reading if there was a mistake.

        Raises:
            DataError: All of them (see `DataError.of_all`).
        """
        if self:
            raise DataError.of_all(self)
