"""An exported model that nobody has trained: random weights, for what does not depend on them."""

from __future__ import annotations

from pathlib import Path

from mammo_data import PreparationSettings
from search.bit.architecture import BitArchitecture
from search.bit.weights import random_weights
from search.export.describe import describe_model
from search.export.metadata import ModelMetadata
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
    metadata = describe_model(
        class_names=("normal", "benign", "malignant"),
        mode="whole",
        demo=False,
        preparation=PreparationSettings(image_size=side),
        metrics={},
        run={},
        fingerprints={},
        licence={},
        development={"patients": [], "images": []},
        held_out={"patients": [], "images": []},
    )
    metadata.write(path, format="keras", verification=None)
    return path, metadata
