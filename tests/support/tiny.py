"""The smallest configuration that goes through every station of the job."""

from __future__ import annotations

from pathlib import Path

from search.config.reading import load_config
from search.config.schema import Config


def tiny_config(data: Path, workspace: Path, **changes: object) -> Config:
    """A search of six runs with promotions, on images of 48 pixels.

    Its winner is best before its last epoch and before its promotion, so that which epoch is read, and from which
    run's file, makes a difference.

    Args:
        data: Folder of the images.
        workspace: Where ``runs`` and ``cache`` go.
        changes: Settings by path, "__" for the dots.
    """
    settings: dict[str, object] = {
        "data.path": data,
        "split.folds": 3,
        "preparation.image_size": 48,
        "augmentation.views": 2,
        "augmentation.most_views": 4,
        "backbone.name": "bit-small",
        "backbone.weights": "random",
        "space.head_width": [16],
        "space.unfreeze_depth": [0, 1],
        "space.learning_rate.max": 0.02,
        "search.seed": 1,
        "search.max_trials": 6,
        "search.max_epochs": 3,
        "search.batch_size": 8,
        "search.precision": "float32",
        "search.folds": 2,
        "retrain.seeds": 2,
        "output.runs": workspace / "runs",
        "output.cache": workspace / "cache",
    }
    settings |= {path.replace("__", "."): value for path, value in changes.items()}
    return load_config(None, settings)
