"""From what a run knows of its model to the metadata that go with every export of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from search.export.metadata import RESEARCH_USE, SCHEMA, ModelMetadata

if TYPE_CHECKING:
    from mammo_data.preparation.standardise import PreparationSettings

INPUT_NAME = "image"
OUTPUT_NAME = "probabilities"

_ORIENTATION = "chest wall at the left, found from the pixels; a film with it at the right is mirrored"
_PLACEMENT = "aspect ratio kept, left edge of the canvas, centred from top to bottom, black padding"
_FORMULA = "softmax(log(probabilities) / temperature + log_prior_shift)"


def describe_model(
    *,
    class_names: tuple[str, ...],
    mode: str,
    demo: bool,
    preparation: PreparationSettings,
    metrics: Mapping[str, Any],
    run: Mapping[str, Any],
    fingerprints: Mapping[str, str],
    licence: Mapping[str, str],
    development: Mapping[str, list[str]],
    held_out: Mapping[str, list[str]],
    roi_window: int | None = None,
) -> ModelMetadata:
    """The metadata of a model; file name, format, checksum and verification are added when it is written.

    Args:
        class_names: Ordered class names.
        mode: "whole" or "roi".
        demo: Whether it was trained on synthetic images.
        preparation: How its images were prepared.
        metrics: The content of metrics.json, for calibration and thresholds.
        run: What made it.
        fingerprints: Of the run.
        licence: Terms of code, weights and data.
        development: Digests of patients and images.
        held_out: The same of those that were set aside.
        roi_window: Side of the crops in pixels of 0.2 mm, where it is a model of crops.
    """
    calibration = metrics.get("calibration")
    size = preparation.image_size
    return ModelMetadata(
        {
            "schema": SCHEMA,
            "model": None,
            "format": None,
            "sha256": None,
            "use": RESEARCH_USE,
            "demo": demo,
            "input": {
                "name": INPUT_NAME,
                "dtype": "float32",
                "shape": [None, size, size, 1],
                "range": [0, 255],
                "mode": mode,
                "meaning": "a prepared film"
                if mode == "whole"
                else f"a crop of a film, {roi_window} pixels of 0.2 mm a side whatever is in it",
            },
            "preparation": asdict(preparation) | {"orientation": _ORIENTATION, "placement": _PLACEMENT},
            "output": {"name": OUTPUT_NAME, "dtype": "float32", "class_names": list(class_names)},
            "calibration": None
            if calibration is None
            else {
                "temperature": calibration["temperature"],
                "log_prior_shift": calibration["log_prior_shift"],
                "cases": calibration["cases"],
                "formula": _FORMULA,
            },
            "operating_points": [
                {
                    "endpoint": point["endpoint"],
                    "classes": list(_scored_classes(point["endpoint"], class_names)),
                    "target_specificity": point["target_specificity"],
                    "threshold": point["threshold"],
                }
                for point in metrics.get("operating_points", ())
            ],
            "fingerprints": dict(fingerprints),
            "run": dict(run),
            "licence": dict(licence),
            "development": dict(development),
            "held_out": dict(held_out),
            "verification": None,
        }
    )


def _scored_classes(endpoint: str, class_names: tuple[str, ...]) -> tuple[str, ...]:
    """The worst class, or all but the first, as `reports.evaluation.operating_points` names its endpoints."""
    return class_names[-1:] if endpoint == f"{class_names[-1]} versus rest" else class_names[1:]
