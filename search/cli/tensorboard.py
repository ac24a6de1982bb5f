"""mammo-search tensorboard: TensorBoard on a run's events, on this machine alone.

Ctrl-C and SIGTERM end it with exit code 0: that is how a viewer is closed, and nothing is cut short. stdout carries the
address, alone in its line.
"""

from __future__ import annotations

import contextlib
import io
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from itertools import count, takewhile
from pathlib import Path
from typing import Annotated

import typer

from reports.page.tensorboard import write_searches, write_trials
from search.cli.settings import run_argument
from search.cli.trials import no_trial_yet
from search.errors import ConfigError
from search.run_folder.directory import RunDirectory
from search.run_folder.lookup import find_run
from search.run_folder.trial_log import read_records
from search.screen.output import complain, show


def tensorboard(
    runs: Annotated[list[str] | None, run_argument("Names of runs, or their folders; default: the newest.")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help="Port (default: 6006, or the next free one).", min=0, max=65535)
    ] = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Listen there; 127.0.0.1 is for this machine alone.")] = (
        "127.0.0.1"
    ),
) -> None:
    """Show the curves of runs in TensorBoard; Ctrl-C ends it.

    Example: mammo-search tensorboard demo
    """
    directories = [find_run(run) for run in runs or (None,)]
    names = [directory.name for directory in directories]
    if len(set(names)) < len(names):
        raise ConfigError(
            expected="runs of different names",
            found=", ".join(runs or ()),
            remedy="Name each once, or copy its folder.",
        )
    with _together(directories) as events:
        url = _serve(events, host, port)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: ended.set())
        show(url)
        complain(f"TensorBoard on {', '.join(str(directory.path) for directory in directories)}; Ctrl-C ends it")
        for directory in directories:
            if outer := [search.name for search in outer_searches(directory)]:
                complain(f"other searches of this nested run: mammo-search tensorboard {outer[0]}, … {outer[-1]}")
        # With a timeout, for a wait without one hears no signal on some systems.
        while not ended.wait(timeout=1.0):
            pass
    complain("TensorBoard has ended")


@contextlib.contextmanager
def _together(directories: Sequence[RunDirectory]) -> Iterator[Path]:
    """The folder of a run's events; of several runs one that is there for as long as they are shown."""
    if len(directories) == 1:
        yield events_of(directories[0])
        return
    with tempfile.TemporaryDirectory(prefix="mammo-search-") as folder:
        events = {directory.name: events_of(directory) for directory in directories}
        write_searches(
            {name: read_records(place.with_name("trials.jsonl")) for name, place in events.items()}, Path(folder)
        )
        for name, place in events.items():
            if (place / "final").is_dir():
                Path(folder, name, "final").symlink_to((place / "final").resolve(), target_is_directory=True)
        yield Path(folder)


def events_of(directory: RunDirectory) -> Path:
    """The folder of a run's events: of one search, for TensorBoard would take those of several for repetitions.

    The events of a search that goes on are written from its trials.jsonl, as far as it is. Of a nested run it is the
    last search, on all patients, or the outer one that is at work.

    Raises:
        RunError: If no trial of the search has ended yet, or trials.jsonl is damaged.
    """
    for search in (directory, *reversed(outer_searches(directory))):
        if search.trials_file.is_file() and not search.is_complete:
            write_trials(read_records(search.trials_file), search.tensorboard, class_names=())
        if any(search.tensorboard.rglob("events.out.tfevents.*")):
            return search.tensorboard
    raise no_trial_yet(directory)


def outer_searches(directory: RunDirectory) -> list[RunDirectory]:
    """The outer searches of a nested run that have begun, in order."""
    return list(takewhile(lambda search: search.has_manifest, map(directory.outer, count())))


def _serve(folder: Path, host: str, port: int | None) -> str:
    """Start TensorBoard in this process; gives its address.

    Args:
        folder: TensorBoard's ``--logdir``.
        host: Address to listen on.
        port: Port, 0 for any; None for 6006 or the next free one.

    Raises:
        ConfigError: If nothing can listen there.
    """
    from tensorboard import default, program

    arguments = ["mammo-search", "--logdir", str(folder), "--host", host]
    board = program.TensorBoard(default.get_plugins())
    board.configure(argv=arguments if port is None else [*arguments, "--port", str(port)])
    try:
        # Its remarks about how it loads data are nobody's concern.
        with contextlib.redirect_stderr(io.StringIO()):
            return str(board.launch())
    except program.TensorBoardServerException as error:
        raise ConfigError(
            expected=f"a free port to listen on at {host}",
            found=" ".join(str(error.msg).split()),
            remedy="Choose another --port, or leave it out.",
        ) from None
