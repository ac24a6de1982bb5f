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
from search.commands import data_audit, doctor, weights
from search.commands import evaluate as evaluate_command
from search.commands import export as export_command
from search.commands import predict as predict_command
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
app.command("export")(export_command.export)
app.command("evaluate")(evaluate_command.evaluate)
app.command("predict")(predict_command.predict)
app.command("doctor")(doctor.doctor)
data_commands.app.command("audit")(data_audit.audit)
app.add_typer(data_commands.app, name="data")
app.add_typer(weights.app, name="weights")


def _print_version(wanted: bool) -> None:
    if wanted:
        show(f"mammo-search {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version."),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    pass


def main() -> None:
    """Run the command line; an error is one line, and a traceback only with --debug."""
    debug = "--debug" in sys.argv[1:]
    try:
        # Not standalone: its handling of Ctrl-C and of errors is the part that is done differently here.
        code = app(standalone_mode=False)
    except (UserError, DataError, ReportError) as error:
        if debug:
            raise
        complain(str(error))
        code = error.exit_code
    except typer.Abort:
        complain("interrupted")
        code = 130
    except Exception as error:
        if debug:
            raise
        code = _show_unexpected(error)
    sys.exit(code if isinstance(code, int) else 0)


def _show_unexpected(error: Exception) -> int:
    """The line and the exit code of an error that is not one of ours."""
    if hasattr(error, "show") and hasattr(error, "exit_code"):  # the parser's own: usage, unknown flag
        error.show()
        return int(error.exit_code)
    complain(f"unexpected {type(error).__name__}: {error} (mammo-search --debug … shows where; please report it)")
    return 1
