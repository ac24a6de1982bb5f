"""The command line's entry point: registers the commands and turns errors into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 data or weights, 130 interrupted.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence

import typer

from mammo_data.errors import DataError
from reports.errors import ReportError
from search.cli import data as data_audit
from search.cli import data as data_commands
from search.cli import doctor, init, report, status, tensorboard, trials, weights
from search.cli import evaluate as evaluate_command
from search.cli import export as export_command
from search.cli import predict as predict_command
from search.cli import run as run_command
from search.cli.help import Command, CommandGroup
from search.errors import UserError
from search.screen.output import complain, show
from search.text import VERSION, program

INTERRUPTED = 130

app = typer.Typer(
    name="mammo-search",
    cls=CommandGroup,
    help="Honest, resumable hyperparameter search on the MIAS mammograms.",
    epilog=f"Start with: {program()} run --demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS: dict[str, Callable[..., None]] = {
    "run": run_command.run,
    "init": init.init,
    "status": status.status,
    "trials": trials.trials,
    "tensorboard": tensorboard.tensorboard,
    "export": export_command.export,
    "evaluate": evaluate_command.evaluate,
    "predict": predict_command.predict,
    "report": report.report,
    "doctor": doctor.doctor,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, cls=Command)(_command)
data_commands.app.command("audit", cls=Command)(data_audit.audit)
app.add_typer(data_commands.app, name="data")
app.add_typer(weights.app, name="weights")


def _print_version(wanted: bool) -> None:
    if wanted:
        show(f"mammo-search {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version."),
    debug: bool = typer.Option(False, "--debug", help="Show an error's traceback."),
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error is one line, and a traceback only with --debug.

    Args:
        arguments: What stands behind the program's name; by default the process's own.

    Raises:
        SystemExit: Always, with the exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # --debug is the whole program's, so it may stand anywhere, also behind a command that does not know it.
    debug = "--debug" in given
    try:
        # Not standalone: its handling of Ctrl-C and of errors is the part that is done differently here.
        code = app([word for word in given if word != "--debug"], prog_name="mammo-search", standalone_mode=False)
    except (UserError, DataError, ReportError) as error:
        if debug:
            raise
        code = error.exit_code
        if code == INTERRUPTED:
            from search.run_folder.interruption import ignore_interruptions

            ignore_interruptions()
        complain(str(error))
    except (typer.Abort, KeyboardInterrupt):
        complain("interrupted")
        code = INTERRUPTED
    except Exception as error:
        if debug:
            raise
        code = _show_unexpected(error)
    sys.exit(code if isinstance(code, int) else 0)


def _show_unexpected(error: Exception) -> int:
    """The line and the exit code of an error that is not one of ours."""
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # the parser's own: usage, unknown flag
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()  # type: ignore[attr-defined]
            return int(error.exit_code)
        text = " ".join(error.format_message().split())
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "mammo-search"
        complain(f"{text}{'' if text.endswith(('.', '?')) else '.'} See: {command} --help")
        return int(error.exit_code)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        complain(f"Expected files that can be read and written; found {where}{error.strerror}. {_remedy(error)}")
        return 1
    text = " ".join(str(error).split())
    complain(f"unexpected {type(error).__name__}: {text} (the same with --debug shows where; please report it)")
    return 1


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Make room on that disk, or choose another place."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Change its permissions, or choose another place."
    return "Check the path."
