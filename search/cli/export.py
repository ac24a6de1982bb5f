"""mammo-search export: the model of a run in a format of choice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from search.cli.settings import Json, run_argument
from search.machine.libraries import quiet_libraries, start_tensorflow
from search.run_folder.lookup import find_run
from search.screen.output import messages, show, show_json


def export(
    run: Annotated[str, run_argument("Name of a run, or its folder.")],
    format: Annotated[
        Literal["keras", "savedmodel", "onnx"],
        typer.Option(metavar="FORMAT", help="keras, savedmodel, or onnx (an extra)."),
    ] = "keras",
    out: Annotated[
        Path | None, typer.Option(help="File or folder to write to.", show_default="the run's best/")
    ] = None,
    json: Json = False,
) -> None:
    """Write a run's model as Keras file, SavedModel or ONNX.

    The input is prepared images, float32 [n, size, size, 1] in 0 … 255. It is compared with Keras on 16 images before
    it is called done. NAME.json beside it says what its users have to know: preparation, classes, thresholds, licence.

    Example: mammo-search export demo --format onnx --out model.onnx
    """
    directory = find_run(run)
    with quiet_libraries() as terminal:
        start_tensorflow(deterministic=True)
        from search.export.write import export_run

        console = messages(terminal)
        exported = export_run(
            directory, format, out, say=lambda text: console.print(text, highlight=False, soft_wrap=True)
        )
    if json:
        show_json(exported.as_json())
        return
    show(f"{exported.path}\n{exported.metadata}")
    show(
        "compared with Keras on {cases} {images}: "
        "largest difference {largest_difference:.2g}, accepted up to {bound:g}".format(**exported.verification)
    )
