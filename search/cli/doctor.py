"""mammo-search doctor: what this machine lacks for a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from search.cli import settings
from search.cli.settings import Assignments, ConfigFile, Info, Json, Weights
from search.machine.libraries import quiet_libraries
from search.screen.output import show_json, show_table

if TYPE_CHECKING:
    from search.doctor import Check

_COLOURS = {"ok": "green", "note": "yellow", "lack": "red"}


def doctor(
    context: typer.Context,
    data: settings.Data = None,
    info: Info = None,
    weights: Weights = None,
    backbone: settings.Backbone = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Say what this machine lacks for a run, and what to do about it.

    What it looks for is what `run` would use with the same flags and the same tuner_config.toml. Ends with exit code 3
    if a run on real data would lack something.

    Example: mammo-search doctor --data all-mias.tar.gz
    """
    from search.doctor import examine

    resolved = settings.resolve_settings(context.params)
    with quiet_libraries():
        checks = examine(resolved)
    if json:
        show_json([check.as_json() for check in checks])
    else:
        show_table(_table(checks))
    if any(check.state == "lack" for check in checks):
        raise typer.Exit(3)


def _table(checks: tuple[Check, ...]) -> Table:
    table = Table.grid(padding=(0, 2))
    for check in checks:
        state = Text(check.state, style=_COLOURS[check.state])
        table.add_row(state, Text(check.subject, no_wrap=True), Text(check.found, overflow="fold"))
        if check.remedy:
            table.add_row("", "", Text(f"→ {check.remedy}", overflow="fold"))
    return table
