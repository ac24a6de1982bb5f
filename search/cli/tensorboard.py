"""mammo-search tensorboard: TensorBoard on a run's events, on this machine alone.

Ctrl-C and SIGTERM end it with exit code 0: that is how a viewer is closed, and nothing is cut short. stdout carries the
address, alone in its line.
"""

from __future__ import annotations

from typing import Annotated

import typer

from search.cli.completion import RunArgument


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
    from search.tensorboard_server import events_of, outer_searches, serving

    directory = find_run(run)
    events = events_of(directory)
    with serving(events, host=host, port=port) as server:
        show(server.url)
        complain(f"TensorBoard on {events}; Ctrl-C ends it")
        if outer := [search.name for search in outer_searches(directory)]:
            complain(f"other searches of this nested run: mammo-search tensorboard {outer[0]}, … {outer[-1]}")
        server.wait()
    complain("TensorBoard has ended")
