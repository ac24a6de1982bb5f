"""The ways out of the program: data on stdout, everything else on stderr, a log file followed by `following`."""

from __future__ import annotations

import io
import json
import os
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from search.text import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


OFF_TERMINAL_WIDTH = 100
_LOG_SECONDS = 0.2


def messages(stream: TextIO | None = None) -> Console:
    """A console for progress and messages, on stderr unless a stream is given.

    It measures the stream that it writes to: rich asks stdin first, which may be another terminal or none.
    """
    from rich.console import ConsoleDimensions

    class Terminal(_printable_console()):  # type: ignore[misc]
        @property
        def size(self) -> ConsoleDimensions:
            width, height = terminal_size(self.file)
            return ConsoleDimensions(width, height)

        @size.setter
        def size(self, new_size: tuple[int, int]) -> None:
            raise AttributeError("the size is the terminal's")

    terminal: Console = Terminal(file=stream or sys.stderr)
    return terminal


@cache
def _printable_console() -> type[Console]:
    """rich's console without what texts could steer a terminal with: some come out of files that others have made."""
    from rich.console import Console
    from rich.segment import Segment

    class Printable(Console):
        def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else printable(text), style, control)

    return Printable


@contextmanager
def bar(
    description: str, *, size: bool = False, console: Console | None = None
) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for the length of the block, where one can be drawn over.

    Args:
        description: What goes on.
        size: Whether bytes are counted.
        console: Where to; stderr if None.

    Yields:
        What moves it, called with (done, total; 0 where nobody knows).
    """
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = console or messages()
    amount = DownloadColumn() if size else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), amount, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not redraws(console)) as bars:
        task = bars.add_task(description, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total or None)


def redraws(console: Console) -> bool:
    """Whether what is shown may be drawn over: on a terminal, not where each drawing stays as lines of its own.

    The latter are files, terminals that can't move a cursor, the cells of notebooks and the logs of builds; the last
    two may look like a terminal.
    """
    keeps = (
        os.environ.get("CI", "").lower() not in ("", "0", "false")
        or "JPY_PARENT_PID" in os.environ
        or any(name.startswith("COLAB_") for name in os.environ)
    )
    return console.is_terminal and console.file.isatty() and not console.is_dumb_terminal and not keeps


def terminal_size(stream: Any) -> tuple[int, int]:
    """Columns and rows of what a stream writes to: COLUMNS and LINES, else the terminal's own, else 80 and 24."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError, AttributeError):
        columns, rows = 0, 0
    asked = (os.environ.get(name, "") for name in ("COLUMNS", "LINES"))
    width, height = (int(text) if text.isdigit() else found for text, found in zip(asked, (columns, rows), strict=True))
    return width or 80, height or 24


def show(text: str, *, hanging: int | None = None) -> None:
    """Print an answer on stdout.

    Args:
        text: As it stands.
        hanging: On a terminal long lines are broken between words and go on behind so many spaces; None leaves them to
            the terminal.
    """
    text = encodable(text, sys.stdout)
    if hanging is not None and sys.stdout.isatty():
        # A line without a label before that column goes on at the left.
        lines = text.splitlines()
        indents = [hanging if line[hanging - 1 : hanging] == " " else 0 for line in lines]
        text = "\n".join(_filled(line, sys.stdout, indent) for line, indent in zip(lines, indents, strict=True))
    print(text, file=sys.stdout, flush=True)


def answer_width() -> int:
    """Columns of a table on stdout: the terminal's, 100 elsewhere."""
    return terminal_size(sys.stdout)[0] if sys.stdout.isatty() else OFF_TERMINAL_WIDTH


def show_table(table: RenderableType) -> None:
    """Print a table on stdout."""
    console = _printable_console()
    if not sys.stdout.isatty():
        text = io.StringIO()
        console(file=text, width=answer_width(), highlight=False).print(table)
        show("\n".join(line.rstrip() for line in text.getvalue().splitlines()))
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal's encoding may lack a letter of a name
    console(file=sys.stdout, width=answer_width(), highlight=False).print(table)


def show_json(value: Any) -> None:
    """Print an answer on stdout as one JSON document."""
    show(json.dumps(value, indent=2, allow_nan=False))


def complain(text: str) -> None:
    """Print an error on stderr, each line as it stands; a terminal does not break its words."""
    for line in text.splitlines():
        said = f"mammo-search: {encodable(line, sys.stderr)}"
        print(_filled(said, sys.stderr) if sys.stderr.isatty() else said, file=sys.stderr, flush=True)


def _filled(line: str, stream: TextIO, hanging: int = 0) -> str:
    width = max(hanging + 20, terminal_size(stream)[0] - 1)
    if len(line) <= width:
        return line
    return textwrap.fill(
        line,
        width,
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )


def encodable(text: str, stream: TextIO) -> str:
    """A text as a stream's encoding can show it, with "?" for what it can't."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return printable(text).encode(encoding, "replace").decode(encoding)


@contextmanager
def following(path: Path, stream: TextIO) -> Iterator[None]:
    """Copy whatever is appended to a file inside the block to a stream.

    The writers write to the file alone, so that nothing is lost if the process dies, and the order is the file's.

    Args:
        path: The file; what it holds at the beginning is not shown.
        stream: Where to.
    """
    ended = threading.Event()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:

        def copy() -> None:
            while True:
                last = ended.wait(_LOG_SECONDS)
                if content := file.read():
                    stream.write(content.decode("utf-8", "replace"))
                    stream.flush()
                if last:
                    return

        thread = threading.Thread(target=copy, name="log", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
