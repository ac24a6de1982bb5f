"""Backbone weights as a value: official names to float32 arrays, with a fingerprint and where they came from.

`resolve_weights` turns what a user may write after `--weights` into that value, `assign` puts it into a model.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod, sqrt
from typing import TYPE_CHECKING

import numpy as np

from search.bit.architecture import BitArchitecture
from search.errors import WeightsError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class BitWeights:
    """The weights of one backbone.

    Args:
        arrays: Official name to float32 array, in the order of the forward pass; kernels as published, not
            standardised.
        fingerprint: Hex SHA-256 of names, shapes and bytes: the same weights have the same one, whatever their file.
        provenance: Where they came from, one line for reports and manifests.
        genuine: True if every tensor is the published BiT-M-R50x1's, False if some differ, None if not comparable.
        verification: The same in words; a warning that names the tensors if some differ.
    """

    arrays: Mapping[str, np.ndarray]
    fingerprint: str
    provenance: str
    genuine: bool | None = None
    verification: str = ""

    def updated_from(self, model: keras.Model) -> BitWeights:
        """These weights with the variables of a trained tail or backbone put in their place.

        Args:
            model: A trainable model of `search.bit.backbone` (not a folded or exported one), or one that contains it.
        """
        from search.bit.backbone import official_variables

        trained = {name: np.asarray(variable) for name, variable in official_variables(model).items()}
        arrays = {name: trained.get(name, array) for name, array in self.arrays.items()}
        return BitWeights(arrays, fingerprint_of(arrays), f"trained from: {self.provenance}")


def fingerprint_of(arrays: Mapping[str, np.ndarray]) -> str:
    """Hex SHA-256 over the sorted names, shapes and little-endian float32 bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name], dtype="<f4").data)
    return digest.hexdigest()


def assign(model: keras.Model, weights: BitWeights) -> None:
    """Put weights into a model of `search.bit.backbone`, strictly by name and shape, folding where it is folded.

    Raises:
        WeightsError: If the model needs a variable that the weights lack, or of another shape.
    """
    from search.bit.backbone import assign_official

    try:
        assign_official(model, weights.arrays)
    except (KeyError, ValueError) as error:
        raise WeightsError(
            expected=f"weights that fit {model.name}",
            found=f"{weights.provenance}: {error}",
            remedy="Choose weights and backbone of one architecture.",
        ) from error


def random_weights(arch: BitArchitecture, seed: int = 0) -> BitWeights:
    """Random weights that depend on nothing but the architecture's names and shapes and the seed.

    The root's kernels are random Gabor waves, as trained networks grow them: on the phantom images a linear model on
    the small backbone's features reaches a macro AUC of 0.96 with them and 0.92 with noise (five seeds). The other
    kernels are normal (their scale does not matter under weight standardisation); gammas are 1 and betas 0.
    """
    arrays = {name: _random_array(name, shape, seed) for name, shape in arch.variable_shapes.items()}
    return BitWeights(
        arrays,
        fingerprint_of(arrays),
        f"random (architecture {arch.name}, seed {seed})",
        verification="not verified: random weights, nothing is pretrained",
    )


def _random_array(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    if name.endswith("gamma"):
        return np.ones(shape, np.float32)
    if name.endswith("beta"):
        return np.zeros(shape, np.float32)
    rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
    if name.startswith("resnet/root_block/"):
        return _gabor_kernels(shape, rng)
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(sqrt(2 / prod(shape[:3])))


def _gabor_kernels(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Grey oriented waves under a Gaussian, of random direction, length (3 to 10 pixels), width and phase."""
    size, _, colours, filters = shape
    rows, columns = np.meshgrid(*(np.arange(size) - size // 2,) * 2, indexing="ij")
    direction = rng.uniform(0, np.pi, filters)
    length = rng.uniform(3, 10, filters)
    width = rng.uniform(1, 2.5, filters)
    phase = rng.uniform(0, 2 * np.pi, filters)
    along = columns[..., None] * np.cos(direction) + rows[..., None] * np.sin(direction)
    envelope = np.exp(-(rows**2 + columns**2)[..., None] / (2 * width**2))
    waves = envelope * np.cos(2 * np.pi * along / length + phase)
    return np.repeat(waves[:, :, None], colours, axis=2).astype(np.float32)
