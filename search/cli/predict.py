"""mammo-search predict: an exported model on images that nobody has labelled."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

import mammo_data
from search.cli.settings import AtSensitivity, AtSpecificity, Threshold, run_argument
from search.machine.libraries import quiet_libraries, start_tensorflow
from search.screen.output import messages

ALL_FAILED, SOME_FAILED = 3, 4
"""Exit codes where images could not be predicted."""


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

    With - an image, or paths, from stdin. Exit code 4 if some fail, 3 if all do.

    Example: mammo-search predict demo films/ --out predictions.csv
    """
    from search.predict.own_point import find_model_at

    if json and format not in (None, "jsonl"):
        raise typer.BadParameter("expected --json or --format; found both")
    usual = "table" if out is None and sys.stdout.isatty() else "csv"
    kind = "jsonl" if json else format or usual
    # Standard input first and at once: what is wrong with it is said before anything heavy starts.
    given, file = _given(images), find_model_at(model, threshold, at_sensitivity, at_specificity)
    file.metadata.require_whole_images()
    with quiet_libraries() as terminal:
        start_tensorflow(deterministic=False)
        from search.predict.predict import predict_to_rows

        predicted, failed = predict_to_rows(file, given, messages(terminal), format=kind, out=out, cam=cam)
    if failed:
        raise typer.Exit(SOME_FAILED if predicted else ALL_FAILED)


def _given(images: list[str]) -> list[Path | mammo_data.ImageFile]:
    """What was named, with what standard input holds in the place of "-"."""
    from mammo_data.sources.image_files import paths_or_image

    read = paths_or_image(sys.stdin.buffer) if "-" in images else ()
    piped = [mammo_data.ImageFile("-", read)] if isinstance(read, bytes) else read
    return [each for image in images for each in (piped if image == "-" else [Path(image)])]
