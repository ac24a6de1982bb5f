"""mammo-search data: get a set of films, check it, look at it, or make a synthetic one.

mammo-search data audit: the leak audit alone, before a search is paid for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from search.cli.help import Command, CommandGroup
from search.cli.settings import SetOption, resolve_settings

app = typer.Typer(
    cls=CommandGroup, help="Fetch, check and preview films, or make synthetic ones.", no_args_is_help=True
)
DEFAULT_FOLDER = Path("data/images")
PROBLEMS_FOUND = 3
DataArgument = Annotated[Path, typer.Argument(metavar="DATA", help="Folder, archive or HDF5 file of the images.")]
InfoOption = Annotated[Path | None, typer.Option(help="Info.txt, where it does not lie with the images.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command(cls=Command)
def fetch(
    to: Annotated[Path, typer.Option(help="Folder that the films go to.")] = DEFAULT_FOLDER,
    url: Annotated[str | None, typer.Option(help="Address of all-mias.tar.gz (default: the known mirrors).")] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Give up after so long without a byte.", min=0.01)
    ] = 30.0,
    json: JsonOption = False,
) -> None:
    """Download mini-MIAS and verify each file by its SHA-256.

    A download that was cut off goes on.

    Example: mammo-search data fetch
    """
    from mammo_data.fetch.download import LICENCE_NOTICE, fetch_mias
    from mammo_data.truth.mias import CHECKSUM_NOTE
    from search.screen.output import messages, show, show_json

    messages().out(LICENCE_NOTICE, highlight=False)
    with _bar("download", size=True) as moved:
        fetched = fetch_mias(to, urls=(url,) if url else (), timeout=timeout, progress=moved)
    if json:
        show_json(fetched.as_json())
    else:
        what = f"fetched from {fetched.url}" if fetched.downloaded else "all there already"
        show(f"{fetched.directory}: {fetched.files} files, each with its {CHECKSUM_NOTE}; {what}")


@app.command(cls=Command)
def check(data: DataArgument = DEFAULT_FOLDER, info: InfoOption = None, json: JsonOption = False) -> None:
    """Look for missing, damaged, altered, duplicate or mislabelled films.

    Each problem is a line, and the exit code is 3 if there is any.

    Example: mammo-search data check all-mias.tar.gz
    """
    from mammo_data.checks.integrity import check as check_set
    from mammo_data.sources.open import open_source
    from search.screen.output import complain, show, show_json

    source = open_source(data, info)
    with _bar("check") as moved:
        report = check_set(source, progress=moved)
    show_json(report.as_json()) if json else show(report.as_text())
    if report.problems:
        complain("\n".join(str(problem) for problem in report.problems))
        raise typer.Exit(PROBLEMS_FOUND)


@app.command(cls=Command)
def preview(
    data: DataArgument = DEFAULT_FOLDER,
    info: InfoOption = None,
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("contact_sheet.png"),
    image: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="An image to show, repeatable (default: all).")
    ] = None,
    side: Annotated[int, typer.Option(metavar="N", help="Side of a thumbnail in pixels.", min=32, max=2048)] = 192,
    columns: Annotated[int, typer.Option(metavar="N", help="Thumbnails in a row.", min=1, max=100)] = 14,
) -> None:
    """Draw a contact sheet: outlines of the breast, crop boxes, circles.

    Example: mammo-search data preview all-mias.tar.gz --image mdb001 --side 600
    """
    from mammo_data.checks.preview import contact_sheet, write_contact_sheet
    from mammo_data.sources.open import load_cases, open_source
    from search.screen.output import show

    source = open_source(data, info)
    table = load_cases(source)
    with _bar("preview") as moved:
        sheet = contact_sheet(source, table, image_ids=image, side=side, columns=columns, progress=moved)
    show(str(write_contact_sheet(sheet, out)))


@app.command(cls=Command)
def phantom(
    to: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write to; empty, or an older phantom.")],
    patients: Annotated[int, typer.Option(metavar="N", help="Women, two films each.", min=1, max=499)] = 60,
    image_size: Annotated[int, typer.Option(metavar="N", help="Side of the films in pixels.", min=64, max=4096)] = 1024,
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed, same bytes.", min=0)] = 0,
) -> None:
    """Write synthetic films in MIAS's format, with MIAS's quirks.

    `data check` finds one of them: a circle off the breast.

    Example: mammo-search data phantom /tmp/phantom --patients 20
    """
    from mammo_data.phantom.dataset import write_phantom
    from search.screen.output import show

    show(str(write_phantom(to, patients=patients, seed=seed, image_size=image_size)))


@contextmanager
def _bar(description: str, *, size: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal's stderr; yields what moves it."""
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from search.screen.output import messages

    console = messages()
    amount = DownloadColumn() if size else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), amount, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(description, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total or None)


def audit(
    data: Annotated[Path | None, typer.Option(help="Folder or archive of the images.")] = None,
    info: Annotated[Path | None, typer.Option(help="Info.txt, if it lies elsewhere.")] = None,
    mode: Annotated[str | None, typer.Option(help="whole images, or roi: crops.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Synthetic data, small backbone; offline.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings [./tuner_config.toml].")] = None,
    assignments: SetOption = None,
    weights: Annotated[str | None, typer.Option(help="tf-hub, random, a handle or a file.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of prepared images in pixels.")] = None,
    split: Annotated[Path | None, typer.Option(help="Use this split.csv; draw none.")] = None,
    no_permutation: Annotated[bool, typer.Option("--no-permutation", help="Don't shuffle labels.")] = False,
    output: Annotated[Path | None, typer.Option(help="Also write audit.json here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON.")] = False,
) -> None:
    """Ask what leaks between the sides of a split.

    The exit code is 3 if anything leaks.

    Example: mammo-search data audit --data all-mias.tar.gz --no-permutation
    """
    from search.cohort import demo_config, require_no_data
    from search.protocols.run import audit_data
    from search.screen.output import show, show_json

    if demo:
        require_no_data(data, info)
    flags: dict[str, tuple[str, Any]] = {
        "--data": ("data.path", data),
        "--info": ("data.info", info),
        "--mode": ("data.mode", mode),
        "--weights": ("backbone.weights", weights),
        "--image-size": ("preparation.image_size", image_size),
        "--split": ("split.file", split),
    }
    settings = resolve_settings(flags, assignments, file=config, base=demo_config() if demo else None)
    found = audit_data(settings, demo=demo, permutation=not no_permutation, output=output)
    show_json(found.as_dict()) if json else show(found.as_text())
    if found.leaks:
        raise typer.Exit(3)
