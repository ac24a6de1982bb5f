"""The one error that a user's data can raise, and those of the libraries that it replaces."""

from __future__ import annotations

import struct

MISREAD = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, SyntaxError, TypeError),
    *(ValueError, struct.error),
)
"""What libraries raise for bytes that have changed: whichever field was hit, another one."""


class DataError(Exception):
    """Input data that can't be used as it is.

    Args:
        expected: What a good input would have been.
        found: What was there instead, naming the file and the place.
        remedy: What the user can do about it, as an imperative.

    The text is one line; the command line prints it as it stands and exits with code 3.
    """

    exit_code = 3

    def __init__(self, *, expected: str, found: str, remedy: str) -> None:
        self.expected = expected
        self.found = found
        self.remedy = remedy
        super().__init__(" ".join(f"Expected {expected}; found {found}. {remedy}".split()))
