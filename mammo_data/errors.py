"""The one error that a user's data can raise, and those of the libraries that it replaces."""

from __future__ import annotations

import struct
from collections.abc import Sequence

MISREAD = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, SyntaxError, TypeError),
    *(ValueError, struct.error),
)
"""What libraries raise for bytes that have changed: whichever field was hit, another one."""


MOST_LINES = 20
"""Lines that one error has at most, before the rest is counted."""


class DataError(Exception):
    """Input data that can't be used as it is.

    Args:
        expected: What a good input would have been.
        found: What was there instead, naming the file and the place.
        remedy: What the user can do about it, as an imperative.

    The text is one line (`of_all`: several); the command line prints it as it stands and exits with code 3.
    """

    exit_code = 3

    def __init__(self, *, expected: str, found: str, remedy: str) -> None:
        self.expected = expected
        self.found = found
        self.remedy = remedy
        super().__init__(" ".join(f"Expected {expected}; found {found}. {remedy}".split()))

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows."""
        return [f"{type(self).__name__}: {self}"]

    @classmethod
    def of_all(cls, errors: Sequence[DataError]) -> DataError:
        """One error for several, not none: a line each, the first `MOST_LINES` of them and how many more there are."""
        first, *others = errors
        if not others:
            return first
        together = cls(expected=first.expected, found=first.found, remedy=first.remedy)
        lines = [str(error) for error in errors[:MOST_LINES]]
        if errors[MOST_LINES:]:
            lines.append(f"and {len(errors) - MOST_LINES} more")
        together.args = ("\n".join(lines),)
        return together


class NoFilmError(DataError):
    """An image that could be read and is no film of a breast as it is meant to be looked at."""
