"""What a user can get wrong, as exceptions that say what was expected, what was found and what to do."""

from __future__ import annotations


class UserError(Exception):
    """An error that the user can mend; the command line prints its one line and exits with `exit_code`.

    Args:
        expected: What good input would have been.
        found: What was there instead, naming the file and the place.
        remedy: What the user can do about it, as an imperative.
    """

    exit_code = 1

    def __init__(self, *, expected: str, found: str, remedy: str) -> None:
        self.expected = expected
        self.found = found
        self.remedy = remedy
        super().__init__(" ".join(f"Expected {expected}; found {found}. {remedy}".split()))


class ConfigError(UserError):
    """A setting or a command-line option that can't be used."""

    exit_code = 2


class WeightsError(UserError):
    """Backbone weights that are absent, can't be reached, or don't fit the architecture."""

    exit_code = 3
