"""Stand-ins for what the internet would send: SavedModels in TF-Hub's format and npz files; and what came of them."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import google_crc32c
import numpy as np

from search.bit.architecture import BitArchitecture
from search.bit.weights import BitWeights
from tests.conftest import ROOT

TINY = BitArchitecture((2, 1), 8, 4, "tiny")


def stand_in_arrays(arch: BitArchitecture) -> dict[str, np.ndarray]:
    """Weights with the official names and shapes, none of them constant."""
    return {name: _array(name, shape) for name, shape in arch.variable_shapes.items()}


def _array(name: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    low = 0.5 if name.endswith("gamma") else -0.3
    return (rng.uniform(low, 1.5, shape) if len(shape) == 1 else rng.normal(0.01, 0.03, shape)).astype("float32")


def write_saved_model(directory: Path, arch: BitArchitecture) -> Path:
    """A module as TF-Hub serves it: variables in a list (so that checkpoint keys are positions), and a program."""
    import tensorflow as tf

    module = tf.Module()
    module.parameters = [tf.Variable(values, name=name) for name, values in stand_in_arrays(arch).items()]

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def call(images):
        return tf.reduce_mean(images, (1, 2))

    module.__call__ = call
    tf.saved_model.save(module, str(directory), signatures=call)
    return directory


def write_archive(path: Path, directory: Path) -> Path:
    """A SavedModel's .tar.gz as TF-Hub serves it, its files at the top."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        archive.add(directory, arcname=".")
    return path


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An npz file of arrays."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def same(weights: BitWeights, arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether weights have exactly these arrays, in this order."""
    return list(weights.arrays) == list(arrays) and all(np.array_equal(weights.arrays[n], arrays[n]) for n in arrays)


def files_under(directory: Path) -> set[str]:
    """Names of all files below a folder but lock files."""
    return {path.name for path in directory.rglob("*") if path.is_file() and path.suffix != ".lock"}


RESOLVE = """
import sys; sys.path.insert(0, {root!r})
from pathlib import Path
from search.bit.architecture import BitArchitecture
from search.bit.resolve import resolve_weights
weights = resolve_weights({url!r}, BitArchitecture((2, 1), 8, 4, "tiny"), cache=Path({cache!r}))
late = [name for name in ("tensorflow", "tensorflow_hub", "tf_keras") if name in sys.modules]
print(weights.fingerprint, late)
"""


def resolving(url: str, cache: Path, **environment: str) -> subprocess.Popen[str]:
    """A process that gets TINY's weights and prints their fingerprint and which heavy modules it needed."""
    script = RESOLVE.format(root=str(ROOT), url=url, cache=str(cache))
    return subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


def timm_tensors(arrays: Mapping[str, np.ndarray], **head: np.ndarray) -> dict[str, np.ndarray]:
    """Weights as timm's conversion names and lays them out, kernels [out, in, rows, columns]."""
    return {timm_name(name): _out_first(array) for name, array in arrays.items()} | head


def timm_name(name: str) -> str:
    """timm's name of an official one."""
    if name == "resnet/root_block/standardized_conv2d/kernel":
        return "stem.conv.weight"
    *_, layer, leaf = name.split("/")
    suffix = "bias" if leaf == "beta" else "weight"
    unit = re.match(r"resnet/block(\d)/unit(\d\d)/([abc])/(proj/)?", name)
    if not unit:
        return f"norm.{suffix}"
    prefix = f"stages.{int(unit[1]) - 1}.blocks.{int(unit[2]) - 1}"
    if unit[4]:
        return f"{prefix}.downsample.conv.{suffix}"
    return f"{prefix}.{'norm' if layer == 'group_norm' else 'conv'}{'abc'.index(unit[3]) + 1}.{suffix}"


def _out_first(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1)) if array.ndim == 4 else array


def checksums(arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Official name to CRC-32C: what makes weights genuine."""
    return {name: google_crc32c.value(array.tobytes()) for name, array in arrays.items()}
