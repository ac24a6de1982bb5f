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
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

from search.export.metadata import ModelMetadata, OperatingThreshold
from search.predict.films import PredictedImage

ROW_FORMATS = ("csv", "jsonl")


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
