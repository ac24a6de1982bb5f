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
    model: Annotated[
        Literal["single", "seeds", "folds"] | None,
        typer.Option(metavar="MODEL", help="single, folds, or seeds where a run has several.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File or folder to write to.", show_default="the run's best/")
    ] = None,
    json: Json = False,
) -> None:
    """Write a run's model as Keras file, SavedModel or ONNX.

    It takes prepared images, float32 [n, size, size, 1] in 0 … 255; NAME.json beside it says how to prepare them, and
    has classes and thresholds. It is compared with Keras on 16 images. A mean of several models is trained first, once.

    Example: mammo-search export demo --format onnx --out model.onnx
    """
    from search.protocols.members.request import request_members, usual_model

    directory = find_run(run)
    model = model or usual_model(directory)
    if model != "single":
        request_members(directory, model)
    with quiet_libraries() as terminal:
        start_tensorflow(deterministic=True)
        console = messages(terminal)
        if model == "single":
            from search.export.write import export_run

            exported = export_run(
                directory, format, out, say=lambda text: console.print(text, highlight=False, soft_wrap=True)
            )
        else:
            from search.protocols.members.export import export_members
            from search.screen.progress import RunProgress

            with RunProgress(console).shown() as progress:
                exported = export_members(directory, model, format, out, progress=progress)
    if json:
        show_json(exported.as_json())
        return
    show(f"{exported.path}\n{exported.metadata}")
    show(
        f"compared with {exported.against} on "
        "{cases} {images}: largest difference {largest_difference:.2g}, accepted up to {bound:g}".format(
            **exported.verification
        )
    )
