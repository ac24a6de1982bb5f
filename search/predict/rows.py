"""Predictions as text: CSV or JSON Lines.

CSV has a header and one row an image, in the order of the images:

    image,predicted,p_<class>,…,<endpoint at specificity>,…,error

``predicted`` is the class of the largest calibrated probability, ``p_<class>`` the calibrated probabilities, and a
column like ``malignant_versus_rest_at_0.90`` holds "positive" or "negative" at the operating point of that endpoint and
target specificity. Where ``error`` has a text, the columns before it are empty.

JSON Lines has one object an image with ``image``, ``predicted``, ``probabilities`` (calibrated, by class name),
``uncalibrated`` (the model's own), ``decisions`` (list of ``endpoint``, ``target_specificity``, ``threshold``,
``positive``), ``cam`` (path of the overlay, only where overlays were asked for) and ``error``; what an error leaves
unknown is null.

Predictions as a table for people, on a terminal: row by row, as they come.
"""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Callable
from itertools import groupby
from typing import Any

from reports.evaluation.operating_points import OperatingThreshold
from search.export.metadata import ModelMetadata
from search.predict.films import PredictedImage

ROW_FORMATS = ("csv", "jsonl")
_NARROWEST_NAME, _WIDEST_NAME = 12, 40


def header(metadata: ModelMetadata, format: str) -> str:
    """What stands before the rows; "" for JSON Lines."""
    if format == "jsonl":
        return ""
    decisions = [_column(threshold) for threshold in metadata.thresholds]
    return _csv(["image", "predicted", *(f"p_{name}" for name in metadata.class_names), *decisions, "error"])


def row_writer(metadata: ModelMetadata, format: str) -> Callable[[PredictedImage], str]:
    """A function from a row to its text, with the line's end."""
    if format == "jsonl":
        return lambda row: json.dumps(_fields(row, metadata), allow_nan=False) + "\n"
    return lambda row: _csv(_values(row, metadata))


def _values(row: PredictedImage, metadata: ModelMetadata) -> list[str]:
    if row.probabilities is None:
        blank = [""] * (1 + len(metadata.class_names) + len(metadata.thresholds))
        return [row.name, *blank, row.error or ""]
    probabilities = [repr(row.probabilities[name]) for name in metadata.class_names]
    decisions = ["positive" if positive else "negative" for positive in row.decisions]
    return [row.name, str(row.predicted), *probabilities, *decisions, ""]


def _fields(row: PredictedImage, metadata: ModelMetadata) -> dict[str, Any]:
    decided = row.error is None
    return {
        "image": row.name,
        "predicted": row.predicted,
        "probabilities": row.probabilities,
        "uncalibrated": row.uncalibrated,
        "decisions": [
            {
                "endpoint": threshold.endpoint,
                "target_specificity": threshold.target_specificity,
                "threshold": threshold.threshold,
                "positive": positive,
            }
            for threshold, positive in zip(metadata.thresholds, row.decisions, strict=True)
        ]
        if decided
        else None,
        **({} if row.overlay is None else {"cam": row.overlay}),
        "error": row.error,
    }


def _column(threshold: OperatingThreshold) -> str:
    return f"{threshold.endpoint} at {threshold.target_specificity:.2f}".replace(" ", "_")


def _csv(values: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def listing(metadata: ModelMetadata, width: int) -> tuple[str, Callable[[PredictedImage], str]]:
    """Two header lines, and a function from a row to its line; each with the line's end.

    Args:
        metadata: Names the classes and the operating points.
        width: Columns to fill; the names of images take what the rest leaves.
    """
    names = metadata.class_names
    predicted = max(len("predicted"), *map(len, names))
    classes = [max(5, len(name)) for name in names]
    # One group of columns an endpoint, one column a target specificity.
    groups = [
        (endpoint.partition(" versus ")[0], [f"{point.target_specificity:.2f}".lstrip("0") for point in points])
        for endpoint, points in groupby(metadata.thresholds, key=lambda point: point.endpoint)
    ]
    group_widths = [max(len(title), 5 * len(targets) - 1) for title, targets in groups]
    behind = predicted + 2 + sum(classes) + 2 * len(classes) + sum(group_widths) + 2 * len(groups)
    name = min(_WIDEST_NAME, max(_NARROWEST_NAME, width - behind - 1))

    def line(first: str, second: str, cells: list[str], decided: list[list[str]]) -> str:
        text = f"{first:{name}}  {second:{predicted}}"
        text += "".join(f"  {cell:>{size}}" for cell, size in zip(cells, classes, strict=True))
        for cells_of_group, size in zip(decided, group_widths, strict=True):
            text += "  " + " ".join(f"{cell:>4}" for cell in cells_of_group).rjust(size)
        return text.rstrip() + "\n"

    over = f"{'':{name}}  {'':{predicted}}  {'probability':<{sum(classes) + 2 * len(classes) - 2}}"
    over += "".join(f"  {title:>{size}}" for (title, _), size in zip(groups, group_widths, strict=True))
    header = over.rstrip() + "\n" + line("image", "predicted", list(names), [targets for _, targets in groups])

    def row(image: PredictedImage) -> str:
        shown = image.name if len(image.name) <= name else "…" + image.name[-(name - 1) :]
        if image.probabilities is None:
            lines = textwrap.wrap(image.error or "", max(20, width - name - 3)) or [""]
            return "".join(f"{shown if not number else '':{name}}  {part}\n" for number, part in enumerate(lines))
        answers = iter("yes" if positive else "no" for positive in image.decisions)
        decided = [[next(answers) for _ in targets] for _, targets in groups]
        return line(shown, str(image.predicted), [f"{image.probabilities[each]:.3f}" for each in names], decided)

    return header, row
