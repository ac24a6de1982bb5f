"""The command line's entry point: the table of commands, and errors as one line and an exit code.

Exit codes: 0 done, 1 failed, 2 usage or settings, 3 data or weights, 4 some films failed, 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from mammo_data.errors import DataError
from mammo_data.waiting import Listener, heard_by
from reports.errors import ReportError
from search.cli.compare import compare
from search.cli.completion import join_broken_words
from search.cli.data import audit, check, fetch, phantom, preview
from search.cli.doctor import doctor
from search.cli.evaluate import evaluate
from search.cli.export import export
from search.cli.init import init
from search.cli.predict import predict
from search.cli.report import report
from search.cli.run import run
from search.cli.status import status
from search.cli.tensorboard import tensorboard
from search.cli.trials import trials
from search.cli.weights import depths, fetch_weights, list_weights, verify
from search.errors import InterruptionError, UserError
from search.machine.environment import (
    FOR_ARRAYS,
    FOR_FILMS,
    require_address_space,
    settle_environment,
    silence_stdout,
)
from search.machine.failures import first_line, is_out_of_memory
from search.run_folder.interruption import ignore_interruptions, interrupted_once
from search.screen.output import complain, show
from search.text import VERSION, program

INTERRUPTED = 130
_WITHOUT_FILMS = ("init", "status")
_PLAIN = {
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "expected a whole number",
    "Input should be a valid number, unable to parse string as a number": "expected a number",
    "Input should be greater than or equal to": "expected at least",
    "Input should be less than or equal to": "expected at most",
    "Input should be": "expected",
}
"""Words of the parser's libraries to those that are said."""
COMMANDS = (run, init, status, trials, tensorboard, compare, export, evaluate, predict, report, doctor)
DATA_COMMANDS = (fetch, check, preview, phantom, audit)
WEIGHTS_COMMANDS = (fetch_weights, verify, depths, list_weights)
"""Each is typed like its function, without what stands behind an underscore."""


class _BareFlags:
    """A command whose help shows flags without a type."""

    def get_params(self, ctx: Any) -> list[Any]:
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            parameter.hidden = parameter.name == "show_completion"  # rare, and the help has to fit a screen
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
        return parameters


class _Command(_BareFlags, TyperCommand):
    """A command with such a help."""


class _Group(_BareFlags, TyperGroup):
    """A group of commands with such a help."""

    def invoke(self, ctx: Any) -> Any:
        """Do what was typed; of Ctrl-C typer would make an exit code without a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise InterruptionError("interrupted") from None


def _group(help: str, commands: Iterable[Callable[..., None]], **others: Any) -> typer.Typer:
    # Markdown: paragraphs are filled, and square brackets stay what they are.
    group = typer.Typer(cls=_Group, help=help, no_args_is_help=True, rich_markup_mode="markdown", **others)
    for command in commands:
        group.command(command.__name__.partition("_")[0], cls=_Command)(command)
    return group


app = _group(
    "Honest, resumable hyperparameter search on the MIAS mammograms.",
    COMMANDS,
    epilog=f"Start with: {program()} run --demo",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(_group("Fetch, check and preview films, or make synthetic ones.", DATA_COMMANDS), name="data")
app.add_typer(_group("Fetch and verify weights; see what each depth trains.", WEIGHTS_COMMANDS), name="weights")


def _print_version(wanted: bool) -> None:
    if wanted:
        show(f"mammo-search {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version."),
    debug: bool = typer.Option(False, "--debug", help="Show an error's traceback."),
) -> None:
    if context.invoked_subcommand in _WITHOUT_FILMS:
        require_address_space(FOR_ARRAYS, "arrays")
    else:
        require_address_space(FOR_FILMS, "films")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error is one line, and a traceback only with --debug.

    Args:
        arguments: What stands behind the program's name; by default the process's own.

    Raises:
        SystemExit: Always, with the exit code.
    """
    if (said := settle_environment()) is not None:
        complain(said)
    join_broken_words(os.environ)
    given = list(sys.argv[1:] if arguments is None else arguments)
    # --debug is the whole program's, so it may stand anywhere, also behind a command that does not know it.
    debug = "--debug" in given
    # The end of a wait is told by no words, of which nothing is shown.
    listener = Listener(f"mammo-search {given[0]}" if given else "", waits=complain, notes=complain)
    try:
        # Not standalone: its handling of Ctrl-C and of errors is the part that is done differently here.
        with interrupted_once(), heard_by(listener):
            code = app([word for word in given if word != "--debug"], prog_name="mammo-search", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        complain("interrupted")
        code = INTERRUPTED
    except BrokenPipeError:  # whoever read the answer (head, less) has read enough
        silence_stdout()
        code = 1
    except Exception as error:
        if debug:
            raise
        code = _show_error(error)
    sys.exit(code if isinstance(code, int) else 0)


def _show_error(error: Exception) -> int:
    """Print an error in one line; gives the exit code."""
    text, code = " ".join(str(error).split()), 1
    if isinstance(error, UserError | DataError | ReportError):
        text, code = str(error), error.exit_code
        if code == INTERRUPTED:
            ignore_interruptions()
    elif hasattr(error, "format_message") and hasattr(error, "exit_code"):  # the parser's own: usage, unknown flag
        code = int(error.exit_code)
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()  # type: ignore[attr-defined]
            return code
        text = " ".join(error.format_message().split())
        for words, plain in _PLAIN.items():
            text = text.replace(words, plain)
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "mammo-search"
        text = f"{text}{'' if text.endswith(('.', '?')) else '.'} See: {command} --help"
    elif is_out_of_memory(error):
        text = f"Expected enough memory; found {first_line(error)}. End other programs, or raise its limit (ulimit -a)."
    elif isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        text = f"Expected files that can be read and written; found {where}{error.strerror}. {_remedy(error)}"
    else:
        text = (
            f"unexpected {type(error).__name__}: {text}. Add --debug to see where it comes from, and please report it."
        )
    complain(text)
    return code


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Make room on that disk, or choose another place."
    if error.errno == errno.EFBIG:
        return "Raise the limit of a file's size (ulimit -f), or choose another place."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Change its permissions, or choose another place."
    return "Check the path."
