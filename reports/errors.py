"""The one error that a table handed to the reports can raise."""

from __future__ import annotations


class ReportError(Exception):
    """A table that no metric, figure or report can be made from.

    Args:
        expected: What a good table would have held.
        found: What was there instead, naming the file, the column and the row where they are known.
        remedy: What to do about it, as an imperative.

    The text is one line; the command line prints it as it stands and exits with code 3.
    """

    exit_code = 3

    def __init__(self, *, expected: str, found: str, remedy: str) -> None:
        super().__init__(" ".join(f"Expected {expected}; found {found}. {remedy}".split()))

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows."""
        return [f"{type(self).__name__}: {self}"]
