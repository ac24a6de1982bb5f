"""mammo-search status: what runs are doing, and how to go on with them.

JSON: with RUN one object, without a list of them, the run last worked on first: ``{"name", "path", "state"
("starting", "running", "interrupted", "failed", "complete", "damaged"), "demo", "protocol", "created", "finished",
"pid", "host", "since", "error", "progress" ({"runs", "failed", "planned_runs", "epochs", "planned_epochs", "searches"}
or null), "best" ({"run", "objective", "epochs", "best_epoch", "hyperparameters"} or null), "seconds_spent",
"seconds_left", "resume" (the command, or null), "report" (the file, or null)}``. Times are ISO 8601; what is not known
is null. `search.run_folder.status` says what each means.
"""

from __future__ import annotations

from typing import Annotated

import typer

from search.cli.completion import complete_run


def status(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="Name of a run, or its folder; default: all runs.",
            show_default=False,
            autocompletion=complete_run,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the state as JSON.")] = False,
) -> None:
    """Say how far a run is, and how to go on with it.

    Without RUN all runs are listed, the one last worked on first.

    Example: mammo-search status demo
    """
    from search.run_folder.lookup import find_run, runs_folder
    from search.run_folder.status import all_statuses, run_status
    from search.screen.output import show, show_json, show_table
    from search.status_listing import status_table, status_text

    if run is not None:
        one = run_status(find_run(run))
        show_json(one.as_json()) if json else show(status_text(one), hanging=13)
        return
    everyone = all_statuses()
    if json:
        show_json([each.as_json() for each in everyone])
    elif not everyone:
        show(f"no runs in {runs_folder()}; begin one: mammo-search run --demo")
    else:
        show_table(status_table(everyone))
