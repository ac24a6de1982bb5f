"""mammo-search tensorboard: TensorBoard on the searches of runs, on this machine alone.

What it shows is written anew into a folder that is there for as long as it is shown, and follows searches that go on.
Ctrl-C and SIGTERM end it with exit code 0: that is how a viewer is closed, and nothing is cut short. stdout carries the
address, alone in its line.
"""

from __future__ import annotations

import contextlib
import io
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from reports.page.tensorboard import FINAL, write_searches
from reports.trials import TrialRecord
from search.cli.settings import run_argument
from search.cli.trials import no_trial_yet
from search.errors import ConfigError, UserError
from search.run_folder.directory import RunDirectory
from search.run_folder.lookup import find_run
from search.run_folder.trial_log import recorded
from search.screen.output import complain, show

_LOOK_AGAIN_SECONDS = 5.0  # as TensorBoard itself does


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
    with tempfile.TemporaryDirectory(prefix="mammo-search-") as folder:
        shown = write_events(directories, Path(folder))
        url = _serve(folder, host, port)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: ended.set())
        show(url)
        complain(f"TensorBoard on {', '.join(str(directory.path) for directory in directories)}; Ctrl-C ends it")
        complain(f"the trials as a table, best first: {url}#hparams")
        # With a timeout, for a wait without one hears no signal on some systems.
        while not ended.wait(timeout=_LOOK_AGAIN_SECONDS):
            # What can't be read now was readable before, and stays as it is shown.
            with contextlib.suppress(UserError):
                shown = write_events(directories, Path(folder), shown=shown)
    complain("TensorBoard has ended")


def write_events(directories: Sequence[RunDirectory], folder: Path, *, shown: int = 0) -> int:
    """Write what TensorBoard shows of runs: every search that has trials, of a nested run those of its folds as well.

    Args:
        directories: The runs' folders.
        folder: TensorBoard's ``--logdir``.
        shown: How many trials are there already; with no others it is left as it is.

    Returns:
        How many trials are there now.

    Raises:
        RunError: If no trial of a run has ended yet, or trials.jsonl is damaged.
    """
    searches: dict[str, tuple[RunDirectory, tuple[TrialRecord, ...]]] = {}
    for directory in directories:
        found = [(search, recorded(search)) for search in (directory, *directory.outer_searches)]
        if not any(records for _, records in found):
            raise no_trial_yet(directory)
        searches |= {search.name: (search, records) for search, records in found if records}
    if len(directories) == 1:  # whose name would say nothing
        run = directories[0].name
        own = "" if len(searches) == 1 and run in searches else run
        searches = {own if name == run else name.removeprefix(f"{run}/"): found for name, found in searches.items()}
    trials = sum(len(records) for _, records in searches.values())
    if trials != shown:
        write_searches({name: records for name, (_, records) in searches.items()}, folder)
    for name, (search, _) in searches.items():
        final, link = search.tensorboard / FINAL, folder / name / FINAL
        if final.is_dir() and not link.is_symlink():
            link.symlink_to(final.resolve(), target_is_directory=True)
    return trials


def _serve(folder: str, host: str, port: int | None) -> str:
    """Start TensorBoard in this process; gives its address.

    Args:
        folder: TensorBoard's ``--logdir``.
        host: Address to listen on.
        port: Port, 0 for any; None for 6006 or the next free one.

    Raises:
        ConfigError: If nothing can listen there.
    """
    # TensorBoard's own switch: it needs nothing of TensorFlow here, whose start takes seconds and writes to the screen.
    sys.modules["tensorboard.compat.notf"] = ModuleType("tensorboard.compat.notf")
    from tensorboard import default, program

    arguments = ["mammo-search", "--logdir", folder, "--host", host]
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
