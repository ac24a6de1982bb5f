"""mammo-search report: report.html again, from the files of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from search.cli.settings import Json, RunArgument
from search.run_folder.lookup import find_run
from search.screen.output import show, show_json


def report(
    run: RunArgument = None,
    open: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    embed_images: Annotated[
        bool, typer.Option("--embed-images", help="Put pictures of held-out images in: mind the data's licence.")
    ] = False,
    json: Json = False,
) -> None:
    """Write report.html of a finished run again, from its files.

    No image is read, and no network runs.

    Example: mammo-search report demo --open
    """
    from search.final.report import write_report_again

    path = write_report_again(find_run(run), embed_images=embed_images)
    show_json({"report": str(path)}) if json else show(str(path))
    if open:
        typer.launch(path.absolute().as_uri())
