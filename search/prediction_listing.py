"""Predictions as a table for people, on a terminal: row by row, as they come."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from itertools import groupby

from search.export.metadata import ModelMetadata
from search.predict.films import PredictedImage

_NARROWEST_NAME, _WIDEST_NAME = 12, 40


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
