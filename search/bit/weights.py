"""Backbone weights as a value, official names to float32 arrays with a fingerprint, and the file they are kept in.

The file is safetensors: written once, whole or not at all, read back in under a second without TensorFlow. Its metadata
(all strings): `format`, `architecture`, `fingerprint`, `provenance`, `genuine` (true, false or unknown),
`verification`. Its tensors carry the official names.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import prod, sqrt
from pathlib import Path

import numpy as np

from mammo_data.locks import Lock
from search.bit.architecture import BitArchitecture
from search.bit.checkpoint import match_official
from search.bit.formats.base import whole_file
from search.bit.formats.tensor_files import open_safetensors
from search.errors import ConfigError, WeightsError
from search.files.tensors import save_safetensors

FORMAT = "mammo-search bit weights 1"
SUFFIX = ".safetensors"
_LONGEST_PROVENANCE = 500
_GENUINE = {"true": True, "false": False, "unknown": None}


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


def fingerprint_of(arrays: Mapping[str, np.ndarray]) -> str:
    """Hex SHA-256 over the sorted names, shapes and little-endian float32 bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name], dtype="<f4").data)
    return digest.hexdigest()


def random_weights(arch: BitArchitecture, seed: int = 0) -> BitWeights:
    """Random weights that depend on nothing but the architecture's names and shapes and the seed.

    The root's kernels are random Gabor waves, as trained networks grow them: on easier synthetic films than today's a
    linear model on the small backbone's features reached a macro AUC of 0.96 with them, 0.92 with noise. The other
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


def require_stored_name(path: Path) -> None:
    """Refuse a name that `--weights` would not know for a stored file, or that can't be written, before the work.

    Raises:
        ConfigError: If it has another suffix or is a folder, or its folder is absent.
    """
    remedy = "Correct --output."
    if path.suffix != SUFFIX or path.is_dir():
        raise ConfigError(expected=f"a file that ends in {SUFFIX}", found=str(path), remedy=remedy)
    if not path.absolute().parent.is_dir():
        raise ConfigError(expected="a folder that is there", found=str(path.parent), remedy=remedy)


def write_stored(path: Path, weights: BitWeights, arch: BitArchitecture) -> None:
    """Write weights to a safetensors file, atomically."""
    metadata = {
        "format": FORMAT,
        "architecture": arch.name,
        "fingerprint": weights.fingerprint,
        "provenance": weights.provenance,
        "genuine": next(word for word, value in _GENUINE.items() if value is weights.genuine),
        "verification": weights.verification,
    }
    save_safetensors(path, weights.arrays, metadata)


def read_stored(path: Path, arch: BitArchitecture) -> BitWeights:
    """Read a safetensors file, this program's or timm's, and check it against its fingerprint, if it has one.

    What a file of this program says of itself is given back as it stands; `search.bit.carried` compares.

    Raises:
        WeightsError: If the file is damaged, is no such file, is of another architecture, has arrays without known
            names, or has values that are not finite.
    """
    with whole_file(path), open_safetensors(path) as (stored, metadata):
        matching = match_official(stored, arch, path.name)
        if not matching.by_name:
            raise ValueError("arrays under names that are neither the authors' nor timm's")
        arrays = matching.candidates[0]
        fingerprint = fingerprint_of(arrays)
        if metadata.get("fingerprint") not in (None, fingerprint):
            raise ValueError("contents that do not match the stored fingerprint")
    told = metadata if metadata.get("format") == FORMAT else {}
    return BitWeights(
        arrays,
        fingerprint,
        told.get("provenance", f"safetensors {path.name}")[:_LONGEST_PROVENANCE],
        _GENUINE.get(told.get("genuine", "unknown")),
        told.get("verification", ""),
    )


def stored_once(path: Path, arch: BitArchitecture, import_weights: Callable[[], BitWeights]) -> BitWeights:
    """Read `path`, or import and store it first; of several processes that ask at once, one does the work.

    Args:
        path: The stored file. A lock file of the same name stands beside it.
        arch: Architecture of the weights.
        import_weights: Makes the weights; called with the lock held.

    Raises:
        WeightsError: What `import_weights` raises.
    """
    if path.is_file():  # also in a folder where nothing may be written
        with suppress(WeightsError):
            return read_stored(path, arch)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Lock(path.with_suffix(".lock"), "imports the same weights"):
        if path.is_file():
            try:
                return read_stored(path, arch)
            except WeightsError:
                # The cache is ours to mend; a file that the user named is never replaced.
                path.unlink()
        # With the lock held, a temporary file of this name belongs to a process that was killed.
        for leftover in path.parent.glob(f".{path.stem}-*{SUFFIX}"):
            leftover.unlink()
        weights = import_weights()
        write_stored(path, weights, arch)
        return weights
