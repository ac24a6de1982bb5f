"""Errors that a user can mend: one clear line each, with the exit code that the command line ends with."""

from __future__ import annotations


class UserError(Exception):
    """Something outside the program is not as it has to be.

    Args:
        expected: What would have been right.
        found: What was there instead, naming the file or the setting.
        remedy: What to do, as an imperative.
    """

    exit_code = 1

    def __init__(self, *, expected: str, found: str, remedy: str) -> None:
        self.expected = expected
        self.found = found
        self.remedy = remedy
        super().__init__(" ".join(f"Expected {expected}; found {found}. {remedy}".split()))

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(UserError):
    """A setting, a flag or the configuration file is wrong."""

    exit_code = 2

    @classmethod
    def from_lines(cls, text: str) -> ConfigError:
        """Several findings, a line each, printed as they stand."""
        error = cls(expected="a valid configuration", found="an invalid one", remedy="Mend it.")
        error.args = (text,)
        return error


class WeightsError(UserError):
    """Backbone weights that are missing, incomplete or not what they claim to be."""

    exit_code = 3


class RunError(UserError):
    """A run's folder is not in the state that a command needs."""

    exit_code = 1


class InterruptionError(UserError):
    """The user, or the system, has ended a command.

    Args:
        said: What is left of it, in one line.
    """

    exit_code = 130

    def __init__(self, said: str) -> None:
        super().__init__(expected="to finish", found="an interruption", remedy="Type it again.")
        self.args = (said,)
