"""mammo-search predict: an exported model on images that nobody has labelled."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

import mammo_data
from search.cli.settings import AtSensitivity, AtSpecificity, Threshold, run_argument
from search.machine.libraries import quiet_libraries, start_tensorflow
from search.screen.output import messages


def predict(
    model: Annotated[str, run_argument("A run, or a .keras file with its .json.", "MODEL")],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE", help="PGM PNG JPEG TIFF DICOM, folders, archives, -.")
    ],
    format: Annotated[
        Literal["table", "csv", "jsonl"] | None,
        typer.Option(metavar="FORMAT", help="table (on a terminal), csv or jsonl."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format jsonl.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the rows to a file.")] = None,
    cam: Annotated[Path | None, typer.Option(help="Folder for Grad-CAM overlays.")] = None,
    threshold: Threshold = None,
    at_sensitivity: AtSensitivity = None,
    at_specificity: AtSpecificity = None,
) -> None:
    """Predict films: probabilities and decisions.

    On standard input (-) an image, or paths. What is no film is told in its row.

    Example: mammo-search predict demo films/ --out predictions.csv
    """
    from search.predict.own_point import find_model_at

    usual = "table" if out is None and sys.stdout.isatty() else "csv"
    kind = "jsonl" if json else format or usual
    files, file = _files(images), find_model_at(model, threshold, at_sensitivity, at_specificity)
    file.metadata.require_whole_images()
    with quiet_libraries() as terminal:
        start_tensorflow(deterministic=False)
        from search.predict.predict import predict_to_rows

        all_failed = predict_to_rows(file, files, messages(terminal), format=kind, out=out, cam=cam)
    if all_failed:
        raise typer.Exit(3)


def _files(images: list[str]) -> Iterator[mammo_data.ImageFile]:
    from mammo_data.sources.image_files import paths_or_image

    # Standard input first and at once: what is wrong with it is said before anything heavy starts.
    given = paths_or_image(sys.stdin.buffer) if "-" in images else b""

    def named() -> Iterator[mammo_data.ImageFile]:
        for image in images:
            if image != "-":
                yield from mammo_data.image_files([Path(image)])
            elif isinstance(given, bytes):
                yield mammo_data.ImageFile("-", given)
            else:
                yield from mammo_data.image_files(given)

    return named()
