"""Backbone weights as a value: official names to float32 arrays, with a fingerprint and where they came from.

`resolve_weights` turns what a user may write after `--weights` into that value, `assign` puts it into a model.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from search.bit_architecture import R50X1, BitArchitecture
from search.bit_checkpoint import match_official, read_npz, read_saved_model
from search.bit_family import FAMILY, source_for
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
    """

    arrays: Mapping[str, np.ndarray]
    fingerprint: str
    provenance: str
    genuine: bool | None = None

    def updated_from(self, model: keras.Model) -> BitWeights:
        """These weights with the variables of a trained tail or backbone put in their place.

        Args:
            model: A trainable model of `search.bit_backbone` (not a folded or exported one), or one that contains it.
        """
        from search.bit_backbone import official_variables

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
    """Put weights into a model of `search.bit_backbone`, strictly by name and shape, folding where it is folded.

    Raises:
        WeightsError: If the model needs a variable that the weights lack, or of another shape.
    """
    from search.bit_backbone import assign_official

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

    Kernels are normal (their scale does not matter under weight standardisation), every gamma is 1 and every beta 0.
    """
    arrays = {name: _random_array(name, shape, seed) for name, shape in arch.variable_shapes.items()}
    return BitWeights(arrays, fingerprint_of(arrays), f"random (architecture {arch.name}, seed {seed})")


def _random_array(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    if name.endswith("gamma"):
        return np.ones(shape, np.float32)
    if name.endswith("beta"):
        return np.zeros(shape, np.float32)
    rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(sqrt(2 / prod(shape[:3])))


def load_npz(path: Path, arch: BitArchitecture = R50X1) -> BitWeights:
    """Weights from an npz with the official names, with or without prefix and head.

    Raises:
        WeightsError: If the file can't be read or does not fit the architecture.
    """
    arrays = next(match_official(read_npz(path), arch, path.name))
    return BitWeights(arrays, fingerprint_of(arrays), f"npz {path.name}")


def load_saved_model(directory: Path, arch: BitArchitecture = R50X1) -> BitWeights:
    """Weights from a SavedModel folder, by the names of its object graph, else by order and shape.

    Raises:
        WeightsError: If the folder can't be read or does not fit the architecture.
    """
    arrays = next(match_official(read_saved_model(directory), arch, directory.name))
    return BitWeights(arrays, fingerprint_of(arrays), f"SavedModel {directory.name}")


def load_tf_hub(handle: str, arch: BitArchitecture = R50X1) -> BitWeights:
    """Weights from a TF-Hub handle, downloaded once into the user's cache folder.

    Raises:
        WeightsError: If the module can't be had or does not fit the architecture.
    """
    from search.bit_hub import resolve_handle

    return replace(load_saved_model(resolve_handle(handle), arch), provenance=f"TF-Hub {handle}")


def resolve_weights(spec: str, arch: BitArchitecture = R50X1, seed: int = 0) -> BitWeights:
    """What a user may write after `--weights`, as weights.

    Args:
        spec: `tf-hub` (the released module of this architecture), `random`, a backbone's name such as `bit-m-r50x1`,
            the path of an npz or a SavedModel folder, or a handle (`https://…`).
        arch: The architecture to fill.
        seed: For `random`.

    Raises:
        WeightsError: If the weights can't be had; nothing is ever replaced silently by something else.
    """
    if spec == "random":
        return random_weights(arch, seed)
    path = Path(spec).expanduser()
    if path.is_dir():
        return load_saved_model(path, arch)
    if path.is_file():
        return load_npz(path, arch)
    if spec.startswith(("http://", "https://")):
        return load_tf_hub(spec, arch)
    source = FAMILY.get(spec) or (source_for(arch) if spec == "tf-hub" else None)
    if source is None:
        raise WeightsError(
            expected="tf-hub, random, a handle, or the path of an npz file or SavedModel folder",
            found=f"--weights {spec} for architecture {arch.name}",
            remedy="Correct --weights; --demo needs none.",
        )
    return load_tf_hub(source.handle, arch)
