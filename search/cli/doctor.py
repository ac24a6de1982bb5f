"""mammo-search doctor: is everything there that a run needs?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.settings import SetOption, resolve_settings

if TYPE_CHECKING:
    from rich.table import Table

    from search.doctor import Check

_COLOURS = {"ok": "green", "note": "yellow", "lack": "red"}


def doctor(
    data: Annotated[Path | None, typer.Option(help="Folder or archive of the images.")] = None,
    info: Annotated[Path | None, typer.Option(help="Info.txt, if it lies elsewhere.")] = None,
    weights: Annotated[str | None, typer.Option(help="tf-hub, random, a handle or a file.")] = None,
    backbone: Annotated[str | None, typer.Option(help="bit-m-r50x1, bit-s-r50x1, bit-m-r101x1, …")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings [./tuner_config.toml].")] = None,
    assignments: SetOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what this machine lacks for a run, and what to do about it.

    What it looks for is what `run` would use with the same flags and the same tuner_config.toml. Ends with exit code 3
    if a run on real data would lack something.

    Example: mammo-search doctor --data all-mias.tar.gz
    """
    from search.doctor import examine
    from search.machine.libraries import quiet_libraries
    from search.screen.output import show_json, show_table

    flags: dict[str, tuple[str, Any]] = {
        "--data": ("data.path", data),
        "--info": ("data.info", info),
        "--weights": ("backbone.weights", weights),
        "--backbone": ("backbone.name", backbone),
    }
    settings = resolve_settings(flags, assignments, file=config)
    with quiet_libraries():
        checks = examine(settings)
    if json:
        show_json([check.as_json() for check in checks])
    else:
        show_table(_table(checks))
    if any(check.state == "lack" for check in checks):
        raise typer.Exit(3)


def _table(checks: tuple[Check, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for check in checks:
        state = Text(check.state, style=_COLOURS[check.state])
        table.add_row(state, Text(check.subject, no_wrap=True), Text(check.found, overflow="fold"))
        if check.remedy:
            table.add_row("", "", Text(f"→ {check.remedy}", overflow="fold"))
    return table
