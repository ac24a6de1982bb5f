"""Mistakes of a table, collected: whoever corrects one sees all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mammo_data.errors import DataError

MOST_SHOWN = 20


class Mistakes:
    """What is wrong with a table, in the order in which it was found.

    Args:
        location: What to call the table.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._found: list[DataError] = []

    def add(self, mistake: DataError) -> None:
        """Keep a mistake; the reading goes on."""
        self._found.append(mistake)

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keep what the block raises; what follows it goes on."""
        try:
            yield
        except DataError as mistake:
            self.add(mistake)

    def require_none(self) -> None:
        """End the reading if there was a mistake.

        Raises:
            DataError: One mistake as it is; several a line each, the first twenty and then how many more.
        """
        if not self._found:
            return
        first, *others = self._found
        if not others:
            raise first
        error = DataError(
            expected=first.expected, found=f"{first.found} and {len(others)} more mistakes", remedy="Correct them all."
        )
        lines = [str(mistake) for mistake in self._found[:MOST_SHOWN]]
        if rest := len(self._found) - len(lines):
            lines.append(f"and {rest} more mistake{'s' if rest > 1 else ''} in {self._location}")
        error.args = ("\n".join(lines),)
        raise error
