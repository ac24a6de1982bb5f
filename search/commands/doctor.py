"""mammo-search doctor: is everything there that a run needs?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    data: Annotated[Path, typer.Option(help="Folder or archive of the MIAS images.")] = Path("data/images"),
    weights: Annotated[str, typer.Option(help="The --weights that runs will use.")] = "tf-hub",
    backbone: Annotated[str, typer.Option(help="The --backbone that runs will use.")] = "bit-m-r50x1",
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look at versions, devices, caches, weights, data and disk space, and say what to do about each lack.

    Ends with exit code 3 if a run on real data would lack something.

    Example: mammo-search doctor --data all-mias.tar.gz
    """
    from search.doctor import examine
    from search.output import show, show_json

    checks = examine(data, weights, backbone, Path("runs"))
    if json:
        show_json([check.as_json() for check in checks])
    else:
        width = max(len(check.subject) for check in checks)
        for check in checks:
            show(f"{check.state:4}  {check.subject:{width}}  {check.found}")
            if check.remedy:
                show(f"{'':4}  {'':{width}}  -> {check.remedy}")
    if any(check.state == "lack" for check in checks):
        raise typer.Exit(3)
