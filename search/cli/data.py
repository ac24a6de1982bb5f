"""mammo-search data: get a set of films, check it, look at it, make a synthetic one, and audit its split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mammo_data
from mammo_data.errors import DataError
from search.cli import settings
from search.cli.settings import Assignments, ConfigFile, Demo, ImageSize, Info, Json, Mode, SplitFile, Weights
from search.screen.output import bar, complain, messages, show, show_json

DEFAULT_FOLDER = Path("data/images")
PROBLEMS_FOUND = 3
DataArgument = Annotated[
    Path | None,
    typer.Argument(metavar="DATA", help="Folder, archive or HDF5 file.", show_default=str(DEFAULT_FOLDER)),
]


def fetch(
    to: Annotated[Path, typer.Option(help="Folder for the films.")] = DEFAULT_FOLDER,
    url: Annotated[str | None, typer.Option(help="Address of all-mias.tar.gz (default: the known mirrors).")] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Give up after so long without a byte.", min=0.01)
    ] = 30.0,
    json: Json = False,
) -> None:
    """Download mini-MIAS and verify each file by its SHA-256.

    A download that was cut off goes on.

    Example: mammo-search data fetch
    """
    from mammo_data.fetch.download import LICENCE_NOTICE, fetch_mias

    messages().out(LICENCE_NOTICE, highlight=False)
    with bar("download", size=True) as moved:
        fetched = fetch_mias(to, urls=(url,) if url else (), timeout=timeout, progress=moved)
    what = f"fetched from {fetched.url}" if fetched.downloaded else "all there already"
    text = f"{fetched.directory}: {fetched.files} files, each with its known SHA-256; {what}"
    show_json(fetched.as_json()) if json else show(text)


def check(
    context: typer.Context,
    data: DataArgument = None,
    info: Info = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Look for missing, damaged, altered, duplicate or mislabelled films.

    Each problem and note is a line; the exit code is 3 if a run would refuse the set.

    Example: mammo-search data check all-mias.tar.gz
    """
    from search.cohort import job_source

    # The films that a run with the same flags and settings would take, its order of the classes with them.
    source = job_source(settings.resolve_settings(context.params))
    with bar("check") as moved:
        report = mammo_data.check(source, progress=moved)
    show_json(report.as_json()) if json else show(report.as_text())
    if report.problems:
        complain("\n".join(map(str, report.problems)))
    if report.blocking:
        raise typer.Exit(PROBLEMS_FOUND)


def preview(
    context: typer.Context,
    data: DataArgument = None,
    info: Info = None,
    mode: Mode = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    out: Annotated[Path, typer.Option(help="PNG to write [contact_sheet.png].", show_default=False)] = Path(
        "contact_sheet.png"
    ),
    image: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A film to show, repeatable [all].")] = None,
    side: Annotated[int, typer.Option(metavar="N", help="Side of a thumbnail in pixels.", min=32, max=2048)] = 192,
    columns: Annotated[
        int, typer.Option(metavar="N", help="Films in a row [14].", show_default=False, min=1, max=100)
    ] = 14,
) -> None:
    """Draw a contact sheet: outlines of the breast, crop boxes, circles.

    With --mode roi it shows crops. The exit code is 3 if something is no film.

    Example: mammo-search data preview all-mias.tar.gz --image mdb001 --side 600
    """
    from search.cohort import job_source
    from search.protocols.run import crops_of

    resolved = settings.resolve_settings(context.params)
    refused: tuple[DataError, ...] = ()
    if resolved.data.mode == "roi":
        sheet = mammo_data.crop_sheet(crops_of(resolved), image_ids=image, side=side, columns=columns)
    else:
        source = job_source(resolved)
        table = mammo_data.load_cases(source)
        with bar("preview") as moved:
            sheet, refused = mammo_data.contact_sheet(
                source, table, image_ids=image, side=side, columns=columns, progress=moved
            )
    show(str(mammo_data.write_contact_sheet(sheet, out)))
    if refused:
        complain(str(DataError.of_all(refused)))
        raise typer.Exit(PROBLEMS_FOUND)


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
    show(str(mammo_data.write_phantom(to, patients=patients, seed=seed, image_size=image_size)))


def audit(
    context: typer.Context,
    data: settings.Data = None,
    info: Info = None,
    mode: Mode = None,
    demo: Demo = False,
    config: ConfigFile = None,
    assignments: Assignments = None,
    weights: Weights = None,
    image_size: ImageSize = None,
    split: SplitFile = None,
    no_permutation: Annotated[bool, typer.Option("--no-permutation", help="Don't shuffle labels.")] = False,
    output: Annotated[Path | None, typer.Option(help="Also write audit.json here.")] = None,
    json: Json = False,
) -> None:
    """Check whether anything leaks between the sides of a split.

    The exit code is 3 if anything leaks.

    Example: mammo-search data audit --data all-mias.tar.gz --no-permutation
    """
    from search.protocols.run import audit_data

    resolved = settings.resolve_settings(context.params)
    found = audit_data(resolved, demo=demo, permutation=not no_permutation, output=output)
    show_json(found.as_dict()) if json else show(found.as_text())
    if found.leaks:
        raise typer.Exit(PROBLEMS_FOUND)
