"""The command line's entry point: registers the commands and turns errors into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 data or weights, 130 interrupted.
"""

from __future__ import annotations

import sys

import typer

from mammo_data.errors import DataError
from reports.errors import ReportError
from search import __version__
from search.commands import data as data_commands
from search.commands import run as run_command
from search.errors import UserError
from search.output import complain, show

app = typer.Typer(
    name="mammo-search",
    help="Honest, resumable hyperparameter search for BiT transfer learning on the MIAS mammograms.",
    epilog="Start with: mammo-search run --demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run_command.run)
app.add_typer(data_commands.app, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        show(f"mammo-search {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version."),
) -> None:
    pass


def main() -> None:
    """Run the command line; a user's error is one line, never a traceback."""
    try:
        app()
    except (UserError, DataError, ReportError) as error:
        complain(str(error))
        sys.exit(error.exit_code)
