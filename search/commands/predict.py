"""mammo-search predict: what a model says of images that nobody has labelled."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mammo_data.image_files import ImageFile


class RowFormat(StrEnum):
    """What --format takes; the schema is in `search.prediction_table`."""

    CSV = "csv"
    JSONL = "jsonl"


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run, or a .keras file with its .json beside it.")],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE…", help="Images, folders, archives; - for standard input.")
    ],
    format: Annotated[RowFormat, typer.Option(help="Schema: the module search.prediction_table.")] = RowFormat.CSV,
    json: Annotated[bool, typer.Option("--json", help="The same as --format jsonl.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the rows here, whole or not at all.")] = None,
    cam: Annotated[Path | None, typer.Option(help="Folder for overlays: where the evidence lies (Grad-CAM).")] = None,
) -> None:
    """Predict films (PGM, PNG, JPEG, TIFF, DICOM): calibrated probabilities and decisions at the operating points.

    Films are prepared as in training. On standard input, -, comes either one image or a list of paths, one a line. An
    image that is no film of a breast is an error in its own row; exit code 3 if all are. Research use only.

    Example: mammo-search predict demo films/ --out predictions.csv
    """
    from search.predict_job import predict_to_rows

    kind = RowFormat.JSONL if json else format
    all_failed = predict_to_rows(model, _files(images), format=kind.value, out=out, cam=cam)
    if all_failed:
        raise typer.Exit(3)


def _files(images: list[str]) -> Iterator[ImageFile]:
    from mammo_data.image_files import ImageFile, image_files, paths_or_image

    # Standard input first and at once: what is wrong with it is said before anything heavy starts.
    given = paths_or_image(sys.stdin.buffer.read()) if "-" in images else b""

    def named() -> Iterator[ImageFile]:
        for image in images:
            if image != "-":
                yield from image_files([Path(image)])
            elif isinstance(given, bytes):
                yield ImageFile("-", given)
            else:
                yield from image_files(given)

    return named()
