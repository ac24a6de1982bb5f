"""mammo-search compare: complete runs on the same held-out women side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from search.cli.completion import complete_run
from search.cli.settings import Json
from search.errors import ConfigError
from search.run_folder.lookup import find_run
from search.screen.output import answer_width, show, show_json, show_table

if TYPE_CHECKING:
    from search.final.comparison.answer import Comparison

_LONGEST_VALUE = 40


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="Two or more, each compared with the first.", autocompletion=complete_run),
    ],
    unpaired: Annotated[bool, typer.Option("--unpaired", help="Runs on other women, too: wider intervals.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Also draw it into this PNG.", metavar="FILE")] = None,
    json: Json = False,
) -> None:
    """Compare complete runs on the same held-out women.

    Figures, paired differences from the first run, settings that differ, and cost. Nothing is read anew.

    Example: mammo-search compare demo other
    """
    directories = [find_run(run) for run in runs]
    places = [directory.path.resolve() for directory in directories]
    if len(places) < 2 or len(set(places)) < len(places):
        raise ConfigError(
            expected="two runs or more, each once",
            found=", ".join(runs),
            remedy="Name the run to compare with first, then the others.",
        )
    if plot and plot.suffix != ".png":
        raise ConfigError(expected="a .png file for --plot", found=str(plot), remedy="Change its ending.")
    from search.final.comparison.compare import compare_runs

    found = compare_runs(directories, unpaired=unpaired)
    if plot:
        found.draw(plot)
    if json:
        show_json(found.as_json())
        return
    for table in tables_of(found):
        show_table(table)
        show("")
    for sentence in found.sentences():
        show(sentence, hanging=1)
    if plot:
        show(str(plot))


def tables_of(found: Comparison) -> list[Table]:
    """Figures, settings that differ, and cost, each a table within the terminal's width."""
    first = found.runs[0].name
    return [
        _table(("", "run", "[95 % interval]", f"minus {first}"), found.as_rows()),
        _table(("setting", *(run.name for run in found.runs)), _settings(found)),
        _table(("cost of the search", ""), found.cost_rows()),
    ]


def _settings(found: Comparison) -> list[tuple[str, ...]]:
    rows = [(path, *map(_value, values)) for path, values in found.settings.items()]
    return rows or [("none differs", *("" for _ in found.runs))]


def _value(value: object) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    """A table that names what stands in the first column once."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, width=min(answer_width(), 140))
    for name in head:
        table.add_column(escape(name), overflow="fold")
    before = None
    for what, *others in rows:
        table.add_row(*map(escape, ("" if what == before else what, *others)))
        before = what
    return table
