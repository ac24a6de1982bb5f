"""An exported model that nobody has trained: random weights, for what does not depend on them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from mammo_data import PreparationSettings
from search.bit.architecture import BitArchitecture
from search.bit.weights import random_weights
from search.export.metadata import SCHEMA, ModelMetadata
from search.export.model import assemble_model, save_model
from search.trials.tail import TrainedTail


def write_untrained(architecture: BitArchitecture, side: int, folder: Path) -> tuple[Path, ModelMetadata]:
    """Write model.keras and its JSON file."""
    tail = TrainedTail(backbone={}, head={}, losses=())
    model = assemble_model(
        architecture, random_weights(architecture, 0), tail, image_size=side, head_width=256, n_classes=3
    )
    path = folder / "model.keras"
    save_model(model, path)
    preparation = asdict(PreparationSettings(image_size=side))
    metadata = ModelMetadata(
        {
            "schema": SCHEMA,
            "demo": False,
            "input": {"mode": "whole"},
            "preparation": preparation,
            "output": {"class_names": ["normal", "benign", "malignant"]},
            "calibration": None,
            "operating_points": [],
            "development": {"patients": [], "images": []},
        }
    )
    metadata.write(path, format="keras", verification=None)
    return path, metadata
