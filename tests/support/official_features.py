"""The features that Google's TF2 code gave on weights and pixels made by a recipe, and both of them again."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from search.bit.architecture import R50X1


def recipe_weights() -> dict[str, np.ndarray]:
    """R50x1's weights by their official names."""
    return {name: _recipe_weight(name, shape) for name, shape in R50X1.variable_shapes.items()}


def _recipe_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if len(shape) == 4:
        return (rng.normal(0.01, 0.03, shape) * rng.lognormal(0, 1, (1, 1, 1, shape[-1]))).astype("float32")
    if name.endswith("gamma"):
        return rng.uniform(0.5, 1.5, shape).astype("float32")
    return rng.normal(0, 0.3, shape).astype("float32")


def official_pixels() -> np.ndarray:
    """float32 [2, 224, 224, 3] in [-1, 1]."""
    return np.random.default_rng(224 * 1000 + 224).uniform(-1, 1, (2, 224, 224, 3)).astype("float32")


def official_features() -> np.ndarray:
    """float32 [2, 2048], what the official code makes of the pixels with these weights."""
    with np.load(Path(__file__).parent / "data" / "official_forward_224.npz") as archive:
        return archive["features"]


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative L2 difference."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
