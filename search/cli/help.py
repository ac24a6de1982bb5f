"""Commands whose help fits a screen: paragraphs filled, flags without a type, rare ones left out."""

from __future__ import annotations

import inspect
from typing import Any

from typer.core import TyperCommand, TyperGroup

_RARE = ("show_completion",)


class Command(TyperCommand):
    """A command.

    Args:
        help: Plain text; square brackets are not markup, and a single line break is a space.
        others: As `TyperCommand` takes them.
    """

    def __init__(self, *, help: str | None = None, **others: Any) -> None:
        super().__init__(help=help and _filled(help), **others)

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, flags without a type."""
        return _with_bare_flags(super().get_params(ctx))


class CommandGroup(TyperGroup):
    """A group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, flags without a type, rare ones hidden from the help."""
        parameters = _with_bare_flags(super().get_params(ctx))
        for parameter in parameters:
            if parameter.name in _RARE:
                parameter.hidden = True
        return parameters


def _filled(text: str) -> str:
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).replace("[", r"\[")


def _with_bare_flags(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters
