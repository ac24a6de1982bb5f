"""Films to rows of text: a table for people, CSV, or JSON Lines, written as they come.

CSV has a header and one row an image, in the order of the images:

    image,predicted,p_<class>,…,<endpoint at specificity>,…,note,error

``predicted`` is the class of the largest printed probability, ``p_<class>`` these probabilities, of the kind that
standard error names (plain, prior-corrected, temperature-scaled, or both: what helped out of fold), and a column like
``malignant_versus_rest_at_0.90`` holds "positive" or "negative" at the operating point of that endpoint and target
specificity; that of a user's own point is called ``malignant_versus_rest_at_sensitivity_0.95``, say. ``note`` says
which of these answers seem to contradict each other, and why they can. Where ``error`` has a text, the columns between
it and ``image`` are empty. The mean of several models has the columns ``<class>_lowest_member`` and
``<class>_highest_member`` before ``note``, <class> the worst one.

JSON Lines has one object an image with ``image``, ``predicted``, ``probabilities`` (as printed, by class name),
``kind`` (of these), ``uncalibrated`` (the model's own), ``decisions`` (list of ``endpoint``, ``target_specificity``,
``threshold``, ``asked`` (a user's own point, as it was asked for; null for the model's), ``positive``), ``spread``
(``lowest`` and ``highest``, only of the mean of several models), ``note``, ``cam`` (path of the overlay, only where
overlays were asked for) and ``error``; what an error leaves unknown is null.

A table says the kind of its probabilities over itself, and under itself for which images answers seem to differ.

The spread over the members of a mean is the smallest and the largest of their probabilities of the worst class, each
calibrated like the printed one. It says how far models agree that differ in their seeds or folds, and nothing of how
likely the answer is to be wrong.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from mammo_data.sources.image_files import ImageFile, count_images, image_files
from search.errors import InterruptionError
from search.export.metadata import RESEARCH_USE, ModelFile, ModelMetadata
from search.export.model import ExportedModel
from search.files.atomic import replacing
from search.predict.disagreement import disagreements
from search.predict.films import PredictedImage, predict_files
from search.predict.overlays import OverlayWriter
from search.run_folder.interruption import uninterrupted
from search.screen.output import answer_width, encodable

_SPREAD = ("lowest", "highest")
_SPREAD_WIDTH = len("0.123–0.456")
_NARROWEST_NAME, _WIDEST_NAME = 12, 40


def predict_to_rows(
    file: ModelFile,
    given: Sequence[Path | ImageFile],
    console: Console,
    *,
    format: str,
    out: Path | None,
    cam: Path | None,
) -> tuple[int, int]:
    """Predict images and write a row for each.

    Args:
        file: The model; of whole images.
        given: What names the images, as for `mammo_data.image_files`.
        console: Told how many there were and how fast.
        format: "table", "csv" or "jsonl".
        out: Where to; None for standard output.
        cam: Folder for overlays of Grad-CAM maps; None for none.

    Returns:
        How many images could be predicted, and how many could not.

    Raises:
        RunError: If the file is no model, or has no residual units to explain.
        InterruptionError: If the user has ended it; the rows until then are kept.
    """
    console.print(RESEARCH_USE, highlight=False, soft_wrap=not console.is_terminal)
    model = ExportedModel(file)
    overlays = None if cam is None else OverlayWriter(model, cam)
    header, text = row_text(file.metadata, format, answer_width())
    if format != "table":
        said = probabilities_said(file.metadata)
        console.print(said, highlight=False, markup=False, soft_wrap=not console.is_terminal)
    done, failed, start, interrupted = 0, 0, time.perf_counter(), False
    differing: list[str] = []
    with _output(out) as (write, flush):
        write(header)
        flush()
        try:
            for rows in predict_files(model, image_files(given)):
                for row in rows if overlays is None else overlays.write(rows):
                    with uninterrupted():  # a row that is written is counted
                        write(text(row))
                        done, failed = done + 1, failed + (row.error is not None)
                    differing += [row.name] if row.note else []
                    flush()  # where a reader is slow, Ctrl-C comes here; the row is on its way
        except KeyboardInterrupt:
            if not done:
                raise InterruptionError("interrupted; no row was written") from None
            interrupted = True
        if differing and format == "table":
            write(_wrapped(disagreements(differing), answer_width()))
    if interrupted:
        total = count_images(given)
        of_all = f" of {total}" if total else ""
        raise InterruptionError(f"interrupted; {done}{of_all} rows kept {f'in {out}' if out else 'on standard output'}")
    console.print(_closing(done, failed, time.perf_counter() - start), highlight=False, soft_wrap=True)
    return done - failed, failed


def row_text(metadata: ModelMetadata, format: str, width: int) -> tuple[str, Callable[[PredictedImage], str]]:
    """What stands before the rows, and a function from a row to its text; each with the line's end.

    Args:
        metadata: Names the classes and the operating points.
        format: "table", "csv" or "jsonl".
        width: Columns that a table fills; the names of images take what the rest leaves.
    """
    if format == "table":
        return _table(metadata, width)
    if format == "jsonl":
        return "", lambda row: json.dumps(_fields(row, metadata), allow_nan=False) + "\n"
    points = (point.title.replace(" ", "_") for point in metadata.thresholds)
    spread = [f"{metadata.class_names[-1]}_{which}_member" for which in _SPREAD] if metadata.members else []
    header = ["image", "predicted", *(f"p_{name}" for name in metadata.class_names), *points, *spread, "note", "error"]
    return _csv(header), lambda row: _csv(_values(row, metadata))


def probabilities_said(metadata: ModelMetadata) -> str:
    """The kind of the printed probabilities, what their spread is, and a user's own point, a sentence each."""
    kind, own, members = metadata.kind_of_probabilities, metadata.own, metadata.members
    worst = metadata.class_names[-1]
    if members is not None and members.kind == "folds":
        # In its own words, not the file's: who says them is this program.
        kind += (
            f" and there are no thresholds, for each development woman was trained on by all of the {members.count} "
            "models but one at most"
        )
    elif kind == "plain":
        tried = "could be fitted" if metadata.correction is None else "helped out of fold"
        kind += f", for no correction {tried}"
    point = "" if own is None else f" own: {own.title}, positive from {own.threshold:.3g} on."
    spread = "" if members is None else f" Spread over members: smallest to largest of {members.count} models' {worst}."
    return f"Probabilities are {kind}.{spread}{point}"


def _wrapped(text: str, width: int) -> str:
    return "".join(f"{line}\n" for line in textwrap.wrap(text, width, break_long_words=False))


def _closing(done: int, failed: int, seconds: float) -> str:
    said = f"{done} image{'s' if done != 1 else ''} in {seconds:.1f} s"
    if failed == done:
        return f"{said}; all failed"
    said += f", {done / max(seconds, 1e-9):.1f} a second"
    return f"{said}; {failed} failed" if failed else said


@contextlib.contextmanager
def _output(out: Path | None) -> Iterator[tuple[Callable[[str], object], Callable[[], object]]]:
    """Functions that take text and pass it on: for standard output at once, for a file when all is done."""
    if out is None:
        stream: TextIO = sys.stdout

        yield lambda text: stream.write(encodable(text, stream)), stream.flush
        return
    with replacing(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as text:
        yield text.write, lambda: None


def _values(row: PredictedImage, metadata: ModelMetadata) -> list[str]:
    if row.probabilities is None:
        blank = [""] * (2 + len(metadata.class_names) + len(metadata.thresholds) + 2 * (metadata.members is not None))
        return [row.name, *blank, row.error or ""]
    probabilities = [repr(row.probabilities[name]) for name in metadata.class_names]
    decisions = ["positive" if positive else "negative" for positive in row.decisions]
    spread = [repr(each) for each in row.spread or ()]
    return [row.name, str(row.predicted), *probabilities, *decisions, *spread, row.note or "", ""]


def _fields(row: PredictedImage, metadata: ModelMetadata) -> dict[str, Any]:
    told = ("endpoint", "target_specificity", "threshold", "asked")
    decisions, several = None, metadata.members is not None
    if row.error is None:
        decided = zip(metadata.thresholds, row.decisions, strict=True)
        decisions = [{name: getattr(point, name) for name in told} | {"positive": yes} for point, yes in decided]
    return {
        "image": row.name,
        "predicted": row.predicted,
        "probabilities": row.probabilities,
        "kind": metadata.kind_of_probabilities,
        "uncalibrated": row.uncalibrated,
        "decisions": decisions,
        **({"spread": None if row.spread is None else dict(zip(_SPREAD, row.spread, strict=True))} if several else {}),
        "note": row.note,
        **({} if row.overlay is None else {"cam": row.overlay}),
        "error": row.error,
    }


def _csv(values: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _table(metadata: ModelMetadata, width: int) -> tuple[str, Callable[[PredictedImage], str]]:
    names = metadata.class_names
    predicted = max(len("predicted"), *map(len, names))
    classes = [max(5, len(name)) for name in names]
    # One group of columns an endpoint, one column a target specificity; a user's own point stands last.
    groups = [
        (endpoint.partition(" versus ")[0], [f"{point.target_specificity:.2f}".lstrip("0") for point in points])
        for endpoint, points in groupby(metadata.read.operating_points, key=lambda point: point.endpoint)
    ]
    if metadata.own is not None:
        groups.append(("", ["own"]))
    group_widths = [max(len(title), 5 * len(targets) - 1) for title, targets in groups]
    behind = predicted + 2 + sum(classes) + 2 * len(classes) + sum(group_widths) + 2 * len(groups)
    # Beside two endpoints 80 columns have no room for it.
    has_room = metadata.members is not None and behind + _NARROWEST_NAME + _SPREAD_WIDTH + 2 <= width
    spread = _SPREAD_WIDTH + 2 if has_room else 0
    behind += spread
    name = min(_WIDEST_NAME, max(_NARROWEST_NAME, width - behind - 1))

    def line(first: str, second: str, cells: list[str], members: str, decided: list[list[str]]) -> str:
        text = f"{first:{name}}  {second:{predicted}}"
        text += "".join(f"  {cell:>{size}}" for cell, size in zip(cells, classes, strict=True))
        text += f"{members:>{spread}}"
        for cells_of_group, size in zip(decided, group_widths, strict=True):
            text += "  " + " ".join(f"{cell:>4}" for cell in cells_of_group).rjust(size)
        return text.rstrip() + "\n"

    over = f"{'':{name}}  {'':{predicted}}  {'probability':<{sum(classes) + 2 * len(classes) - 2}}"
    over += f"{'spread over' if spread else '':>{spread}}"
    over += "".join(f"  {title:>{size}}" for (title, _), size in zip(groups, group_widths, strict=True))
    lacking = " The spread is in wider tables, csv and jsonl." if metadata.members is not None and not has_room else ""
    header = _wrapped(probabilities_said(metadata) + lacking, width) + over.rstrip() + "\n"
    header += line("image", "predicted", list(names), "members" if spread else "", [t for _, t in groups])

    def row(image: PredictedImage) -> str:
        shown = image.name if len(image.name) <= name else "…" + image.name[-(name - 1) :]
        if image.probabilities is None:
            lines = textwrap.wrap(image.error or "", max(20, width - name - 3)) or [""]
            return "".join(f"{shown if not number else '':{name}}  {part}\n" for number, part in enumerate(lines))
        answers = iter("yes" if positive else "no" for positive in image.decisions)
        decided = [[next(answers) for _ in targets] for _, targets in groups]
        members = "" if image.spread is None or not has_room else "–".join(f"{each:.3f}" for each in image.spread)
        cells = [f"{image.probabilities[each]:.3f}" for each in names]
        return line(shown, str(image.predicted), cells, members, decided)

    return header, row
