"""The work of `mammo-search predict`: open the model, predict, write rows as they come, count what failed."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from mammo_data.sources.image_files import ImageFile
from search.errors import RunError
from search.export.metadata import RESEARCH_USE, ModelMetadata
from search.export.opened import ExportedModel, find_model
from search.files.atomic import replacing
from search.machine.libraries import quiet_libraries, start_tensorflow
from search.screen.output import answer_width, encodable, messages

if TYPE_CHECKING:
    from search.predict.films import PredictedImage
    from search.predict.overlays import OverlayWriter


def predict_to_rows(
    name: str, files: Iterable[ImageFile], *, format: str, out: Path | None, cam: Path | None = None
) -> bool:
    """Predict images and write a row for each.

    Args:
        name: The model, as `find_model` understands it.
        files: The images.
        format: "table", "csv" or "jsonl".
        out: Where to; standard output by default.
        cam: Folder for overlays of Grad-CAM maps; None for none.

    Returns:
        Whether not one image could be predicted.

    Raises:
        RunError: If there is no such model, or it is one of crops.
        DataError: If standard input is neither an image nor a list of paths.
    """
    file = find_model(name)
    if file.metadata.mode != "whole":
        raise RunError(
            expected="a model of whole images",
            found=f"{file.path}, a model of crops around places that somebody has marked",
            remedy="Use a model that was searched with --mode whole.",
        )
    with quiet_libraries() as terminal:
        start_tensorflow(deterministic=False)
        from search.predict.films import predict_files

        console = messages(terminal)
        console.print(RESEARCH_USE, highlight=False, soft_wrap=not console.is_terminal)
        model = ExportedModel(file)
        overlays = None
        if cam is not None:
            from search.predict.overlays import OverlayWriter

            overlays = OverlayWriter(model, cam)
        header, text = _row_text(file.metadata, format)
        done, failed, start = 0, 0, time.perf_counter()
        with _output(out) as write:
            write(header)
            for rows in predict_files(model, files):
                for row in _with_overlays(rows, overlays):
                    write(text(row))
                done, failed = done + len(rows), failed + sum(row.error is not None for row in rows)
        seconds = time.perf_counter() - start
        console.print(_closing(done, failed, seconds), highlight=False, soft_wrap=True)
    return failed == done


def _closing(done: int, failed: int, seconds: float) -> str:
    said = f"{done} image{'s' if done != 1 else ''} in {seconds:.1f} s"
    if failed == done:
        return f"{said}; all failed"
    said += f", {done / max(seconds, 1e-9):.1f} a second"
    return f"{said}; {failed} failed" if failed else said


def _row_text(metadata: ModelMetadata, format: str) -> tuple[str, Callable[[PredictedImage], str]]:
    """What stands before the rows, and what a row becomes."""
    from search.predict.rows import header, listing, row_writer

    if format == "table":
        return listing(metadata, answer_width())
    return header(metadata, format), row_writer(metadata, format)


def _with_overlays(rows: list[PredictedImage], overlays: OverlayWriter | None) -> list[PredictedImage]:
    if overlays is None:
        return rows
    paths = overlays.write(rows)
    return [replace(row, overlay=path) for row, path in zip(rows, paths, strict=True)]


@contextlib.contextmanager
def _output(out: Path | None) -> Iterator[Callable[[str], object]]:
    """A function that takes text: for standard output at once, for a file when all is done."""
    if out is None:
        stream: TextIO = sys.stdout

        def write(text: str) -> None:
            stream.write(encodable(text, stream))
            stream.flush()

        yield write
        return
    with replacing(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as text:
        yield text.write
