"""mammo-search status: what runs are doing, and how to go on with them; one run as lines, many as a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from rich.markup import escape
from rich.table import Table

from reports.page.words import hyperparameter_text
from search.cli.settings import Json, run_argument
from search.run_folder.lookup import find_run, runs_folder
from search.screen.output import answer_width, show, show_json, show_table
from search.text import duration, rounded, short_duration

if TYPE_CHECKING:
    from search.run_folder.status import BestSoFar, Progress, RunStatus

_STYLES = {"running": "bold green", "starting": "green", "interrupted": "yellow", "failed": "red", "damaged": "red"}
_WIDE = 100
"""Columns."""


def status(
    run: Annotated[str | None, run_argument("Name of a run, or its folder; default: all runs.")] = None,
    json: Json = False,
) -> None:
    """Say how far a run is, and how to go on with it.

    Without RUN all runs are listed, the one last worked on first.

    Example: mammo-search status demo
    """
    from search.run_folder.status import all_statuses, run_status

    if run is not None:
        one = run_status(find_run(run, starting=True))
        show_json(one.as_json()) if json else show(status_text(one), hanging=13)
        return
    everyone = all_statuses()
    if json:
        show_json([each.as_json() for each in everyone])
    elif not everyone:
        show(f"no runs in {runs_folder()}; begin one: mammo-search run --demo")
    else:
        show_table(status_table(everyone))
        for each in everyone:
            if each.state == "damaged":
                show(_one_line(f"{each.name}: {each.error}"))
            elif each.cut_short:
                show(_one_line(f"{each.name}: the search was {each.cut_short}"))


def status_text(status: RunStatus) -> str:
    """One run as lines of text."""
    best = status.best
    ended = f", completed {_clock(status.finished)}" if status.finished else ""
    about = [str(status.outer)] if status.outer else []
    about += ["demonstration on synthetic images"] if status.demo else []
    lines = (
        ("run", f"{status.path}  ({'; '.join(about)})" if about else status.path),
        ("state", _state(status)),
        ("error", status.error),
        ("began", status.created and f"{_clock(status.created)}{ended}"),
        ("device", status.device),
        ("workers", "; ".join(f"{name}: {words or 'waits'}" for name, words in status.workers.items())),
        ("plan", status.progress and _progress(status.progress)),
        ("cut short", status.cut_short),
        (
            "best" if status.state == "complete" else "best so far",
            best
            and f"trial {best.trial}: macro AUC {best.objective:.3f} at {_of_full(best)} epochs (selected, optimistic)",
        ),
        (
            "",
            best and ", ".join(f"{name} {hyperparameter_text(value)}" for name, value in best.hyperparameters.items()),
        ),
        ("time", status.seconds_spent and f"{duration(status.seconds_spent)} spent on trials{_left(status)}"),
        ("go on with", status.resume),
        ("report", status.report),
    )
    return "\n".join(f"{name:13}{_one_line(str(text))}".rstrip() for name, text in lines if text)


def status_table(statuses: Sequence[RunStatus]) -> Table:
    """Many runs as a table; where a terminal is narrow, its columns stand closer, and names are not broken."""
    table = Table(box=None, padding=(0, 2 if answer_width() >= _WIDE else 1, 0, 0), pad_edge=False)
    table.add_column("run", overflow="fold")
    table.add_column("state", no_wrap=True)
    for name in ("trials", "epochs", "macro AUC", "at", "time", "left"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("began", no_wrap=True)
    for status in statuses:
        progress, best = status.progress, status.best
        table.add_row(
            escape(_one_line(status.name)),
            status.state,
            f"{progress.trials}/{progress.planned_trials}" if progress else "",
            f"{progress.epochs}/{progress.planned_epochs}" if progress else "",
            f"{best.objective:.3f}" if best else "",
            str(best.epochs) if best else "",
            short_duration(status.seconds_spent) if status.seconds_spent else "",
            short_duration(status.seconds_left) if status.seconds_left else "",
            _clock(status.created)[:-3],  # without seconds
            style=_STYLES.get(status.state),
        )
    return table


def _of_full(best: BestSoFar) -> str:
    """Epochs of the leading trial, and of what where that is not the full budget."""
    return f"{best.epochs} of {best.full_epochs}" if best.full_epochs not in (None, best.epochs) else f"{best.epochs}"


def _state(status: RunStatus) -> str:
    if status.state == "complete" and status.cut_short:
        return "complete, but its search was cut short"
    if status.state not in ("running", "starting", "interrupted"):
        return status.state
    was = status.state == "interrupted"
    process = ""
    if status.pid is not None:
        process = f"{'; it was' if was else ','} process {status.pid} on {status.host}, begun {_clock(status.since)}"
    return f"{status.state}{process}{'' if was else _doing(status)}"


def _doing(status: RunStatus) -> str:
    if status.waiting_for:
        return f"; {status.waiting_for}"
    progress = status.progress
    if progress is None or not progress.planned_trials:
        return ""
    is_carried_out = progress.trials >= progress.planned_trials and progress.epochs >= progress.planned_epochs
    if is_carried_out or (status.cut_short and status.cut_short.searches == progress.searches):
        return "; the search is done, what follows is retraining and evaluation"
    return ""


def _progress(progress: Progress) -> str:
    failed = f" ({progress.failed} failed)" if progress.failed else ""
    searches = f" of {progress.searches} searches" if progress.searches > 1 else ""
    return (
        f"{progress.trials} of {progress.planned_trials} trials{searches} have ended{failed}; "
        f"{progress.epochs} of {progress.planned_epochs} epochs"
    )


def _left(status: RunStatus) -> str:
    return "" if status.seconds_left is None else f", about {rounded(status.seconds_left)} left"


def _one_line(text: str) -> str:
    """A text, some of it of a folder that somebody else has made, that can't pass for several lines."""
    return " ".join(text.splitlines())


def _clock(text: str | None) -> str:
    """A time of the reader's own clock."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}" if text else ""
