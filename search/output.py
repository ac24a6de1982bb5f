"""The two ways out of the program: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

OFF_TERMINAL_WIDTH = 100


def messages(stream: TextIO | None = None) -> Console:
    """A console for progress and messages, on stderr unless a stream is given."""
    from rich.console import Console

    return Console(file=stream or sys.stderr)


def show(text: str) -> None:
    """Print an answer on stdout."""
    print(text, file=sys.stdout, flush=True)


def answer_width() -> int:
    """Columns of a table on stdout: the terminal's, 100 elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else OFF_TERMINAL_WIDTH


def show_table(table: RenderableType) -> None:
    """Print a table on stdout."""
    from rich.console import Console

    Console(file=sys.stdout, width=answer_width(), highlight=False).print(table)


def show_json(value: Any) -> None:
    """Print an answer on stdout as one JSON document."""
    show(json.dumps(value, indent=2, allow_nan=False))


def complain(text: str) -> None:
    """Print an error on stderr, each line as it stands."""
    for line in text.splitlines():
        print(f"mammo-search: {line}", file=sys.stderr, flush=True)
