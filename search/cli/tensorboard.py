"""mammo-search tensorboard: TensorBoard on a run's events, on this machine alone.

Ctrl-C and SIGTERM end it with exit code 0: that is how a viewer is closed, and nothing is cut short. stdout carries the
address, alone in its line.

TensorBoard in this process, from its start to a clean end.
"""

from __future__ import annotations

import contextlib
import io
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, takewhile
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from search.cli.completion import RunArgument
from search.errors import ConfigError, RunError
from search.run_folder.directory import RunDirectory


def tensorboard(
    run: RunArgument = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Port (default: 6006, or the next free one).", min=0, max=65535)
    ] = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Listen there; 127.0.0.1 is for this machine alone.")] = (
        "127.0.0.1"
    ),
) -> None:
    """Show the curves of a run in TensorBoard; Ctrl-C ends it.

    Example: mammo-search tensorboard demo
    """
    from search.run_folder.lookup import find_run
    from search.screen.output import complain, show

    directory = find_run(run)
    events = events_of(directory)
    with serving(events, host=host, port=port) as server:
        show(server.url)
        complain(f"TensorBoard on {events}; Ctrl-C ends it")
        if outer := [search.name for search in outer_searches(directory)]:
            complain(f"other searches of this nested run: mammo-search tensorboard {outer[0]}, … {outer[-1]}")
        server.wait()
    complain("TensorBoard has ended")


@dataclass(frozen=True)
class Server:
    """A TensorBoard that listens.

    Attributes:
        url: Where.
    """

    url: str
    _ended: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Until Ctrl-C or SIGTERM."""
        # With a timeout, for a wait without one hears no signal on some systems.
        while not self._ended.wait(timeout=1.0):
            pass

    def end(self) -> None:
        """Let `wait` return."""
        self._ended.set()


def events_of(directory: RunDirectory) -> Path:
    """The folder of a run's events: of one search, for TensorBoard would take those of several for repetitions.

    The events of a search that goes on are written from its trials.jsonl, as far as it is. Of a nested run it is the
    last search, on all patients, or the outer one that is at work.

    Raises:
        RunError: If no run of the search has ended yet, or trials.jsonl is damaged.
    """
    for search in (directory, *reversed(outer_searches(directory))):
        if search.trials_file.is_file() and not search.is_complete:
            _write_events(search)
        if any(search.tensorboard.rglob("events.out.tfevents.*")):
            return search.tensorboard
    raise RunError(
        expected="a search with runs that have ended",
        found=f"none in {directory.path}",
        remedy=f"See how far it is: mammo-search status {directory.name}.",
    )


def outer_searches(directory: RunDirectory) -> list[RunDirectory]:
    """The outer searches of a nested run that have begun, in order."""
    begun = takewhile(lambda search: search.manifest_file.is_file(), map(directory.outer, count()))
    return list(begun)


def _write_events(directory: RunDirectory) -> None:
    from reports.page.tensorboard import write_trials
    from search.run_folder.trial_log import read_records

    write_trials(read_records(directory.trials_file), directory.tensorboard, class_names=())


@contextmanager
def serving(folder: Path, *, host: str, port: int | None) -> Iterator[Server]:
    """Serve a folder inside the block; inside it Ctrl-C and SIGTERM end the wait.

    Args:
        folder: TensorBoard's ``--logdir``.
        host: Address to listen on.
        port: Port, 0 for any; None for 6006 or the next free one.

    Raises:
        ConfigError: If nothing can listen there.
    """
    from tensorboard import default, program

    arguments = ["mammo-search", "--logdir", str(folder), "--host", host]
    if port is not None:
        arguments += ["--port", str(port)]
    board = program.TensorBoard(default.get_plugins())
    board.configure(argv=arguments)
    chatter = io.StringIO()
    try:
        # Its remarks about how it loads data are nobody's concern.
        with contextlib.redirect_stderr(chatter):
            server = Server(board.launch())
    except program.TensorBoardServerException as error:
        raise ConfigError(
            expected=f"a free port to listen on at {host}",
            found=" ".join(str(error.msg).split()),
            remedy="Choose another --port, or leave it out.",
        ) from None

    def end(number: int, frame: FrameType | None) -> None:
        server.end()

    previous = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield server
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
