"""The wall before Keras: what a model file may hold to be handed to it.

Keras's safe mode refuses Python code in a model file. This wall stands before it and is stricter: a file is opened only
if everything that its configuration names is of the kinds that this program itself writes, or plain ones like them. So
neither a lambda, nor a layer that runs somebody's graph or reads files, nor a function or class of another package is
ever looked up; nothing is compiled; and the weights are arrays in the file itself.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from search.errors import RunError

_LARGEST_CONFIG = 64 * 2**20
_MOST_ARRAYS = 100_000
_WEIGHTS = "model.weights.h5"
_MEMBERS = ["config.json", "metadata.json", _WEIGHTS]
_MODELS = {"keras", "keras.models", "keras.src.models.functional", "keras.src.models.sequential"}
_ALLOWED: dict[str | None, set[str]] = {
    "keras.layers": {
        *("InputLayer", "Rescaling", "Resizing", "Reshape", "Flatten", "Concatenate", "ZeroPadding2D"),
        *("Conv2D", "Dense", "BatchNormalization", "GroupNormalization", "Dropout"),
        *("AveragePooling2D", "GlobalAveragePooling2D", "MaxPooling2D", "GlobalMaxPooling2D"),
        *("Activation", "ReLU", "Softmax", "Add", "Multiply", "Average"),
    },
    "keras.initializers": {
        *("Zeros", "Ones", "Constant", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling"),
        *("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform"),
    },
    "keras.regularizers": {"L1", "L2", "L1L2"},
    "keras.constraints": {"MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"},
    None: {"__keras_tensor__"},
    **{module: {"DTypePolicy", "Functional", "Model", "Sequential"} for module in _MODELS},
}
_NAMED = ("activation", "_initializer", "_regularizer", "_constraint")
_NAMES = {
    *("linear", "relu", "relu6", "elu", "selu", "gelu", "silu", "sigmoid", "tanh", "softplus", "softmax"),
    *("zeros", "ones", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"),
    *("l1", "l2", "l1_l2", "max_norm", "non_neg", "unit_norm"),
}
"""What may stand as a mere name under a key that ends like `_NAMED`: Keras looks others up among all that it knows."""
_DAMAGE = (OSError, ValueError, RuntimeError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)
_FOREIGN = ("compile_config", "custom_objects", "optimizer", "loss", "metrics")


def require_plain_model(path: Path) -> None:
    """Make sure that a file may be handed to Keras.

    Raises:
        RunError: If it is missing, damaged, or has anything else in it.
    """
    if path.suffix != ".keras":
        raise refused(path, f"a file of the kind {path.suffix or 'without a suffix'}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info.file_size for info in archive.infolist()}
            if sorted(archive.namelist()) != _MEMBERS or members["config.json"] > _LARGEST_CONFIG:
                raise refused(path, f"an archive of {', '.join(sorted(members)[:5]) or 'nothing'}")
            if sum(members.values()) > 2 * path.stat().st_size:
                raise refused(path, "an archive that grows when it is read")
            # Reading the members checks their CRC as well.
            config, _, weights = map(archive.read, _MEMBERS)
        foreign = next(_foreign(json.loads(config)), None) or _foreign_array(weights)
    except _DAMAGE as error:
        raise refused(path, f"{type(error).__name__}: {error}") from None
    if foreign:
        raise refused(path, foreign)


def refused(path: Path, found: str) -> RunError:
    """The error of a file that is not opened."""
    return RunError(
        expected=f"a whole .keras file of plain Keras layers as {path}",
        found=found,
        remedy="Restore it, or name a model that mammo-search has exported; open others with what made them.",
    )


def _foreign(config: Any) -> Iterator[str]:
    """What Keras would look up, or do, that is on no list."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                module, name = value.get("module"), value["class_name"]
                if not (isinstance(module, str | None) and name in _ALLOWED.get(module, ())):
                    yield f"{module or 'no module'}.{name}"
                if value.get("registered_name") not in (None, name):
                    yield f"a registered {value['registered_name']}"
            for key, part in value.items():
                if part and key in _FOREIGN:
                    yield f"a {key}"
                if key.endswith(_NAMED) and not (part is None or isinstance(part, dict) or part in _NAMES):
                    yield f"{part} as {key}"
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _foreign_array(weights: bytes) -> str | None:
    """What leads out of the weights, or is no plain array in them."""
    with h5py.File(io.BytesIO(weights), "r") as file:
        waiting, found, size = [file], 0, 0
        while waiting:
            group = waiting.pop()
            for name in group:
                found += 1
                if not isinstance(group.get(name, getlink=True), h5py.HardLink) or found > _MOST_ARRAYS:
                    return f"a link among the weights, {group.name}/{name}"
                part = group[name]
                if isinstance(part, h5py.Group):
                    waiting.append(part)
                elif part.external or part.is_virtual or part.chunks or part.dtype.kind not in "biufV":
                    return f"a dataset that is no plain array, {part.name}"
                else:
                    size += part.nbytes
    return "more weights than bytes" if size > len(weights) else None
