"""Is a .keras file a whole one, and made of nothing but layers that compute?

Keras's safe mode refuses Python code in a model file. This is a second wall before it, and a stricter one: a file is
opened only if every object in its configuration is of the kinds that this program itself writes. So neither a lambda,
nor a layer that runs somebody's graph or reads files, nor a class from another package is ever looked up.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from search.errors import RunError

_LARGEST_CONFIG = 64 * 2**20
_MEMBERS = {"config.json", "metadata.json", "model.weights.h5"}
_MODELS = {"keras", "keras.models", "keras.src.models.functional", "keras.src.models.sequential"}
_ALLOWED = {
    "keras.layers": {
        "Activation",
        "Add",
        "AveragePooling2D",
        "BatchNormalization",
        "Concatenate",
        "Conv2D",
        "Dense",
        "Dropout",
        "Flatten",
        "GlobalAveragePooling2D",
        "GlobalMaxPooling2D",
        "GroupNormalization",
        "InputLayer",
        "MaxPooling2D",
        "Multiply",
        "ReLU",
        "Rescaling",
        "Reshape",
        "Resizing",
        "Softmax",
        "ZeroPadding2D",
    },
    **{module: {"DTypePolicy", "Functional", "Model", "Sequential"} for module in _MODELS},
}
_WITHOUT_MODULE = {"__keras_tensor__", "__numpy__", "__tensor__"}


def require_plain_model(path: Path) -> None:
    """Make sure that a file may be handed to Keras.

    Raises:
        RunError: If it is missing, damaged, or has anything else in it.
    """
    if path.suffix != ".keras":
        raise _refused(path, f"a file of the kind {path.suffix or 'without a suffix'}")
    try:
        with zipfile.ZipFile(path) as archive:
            if set(archive.namelist()) != _MEMBERS or archive.getinfo("config.json").file_size > _LARGEST_CONFIG:
                raise _refused(path, f"an archive of {', '.join(sorted(archive.namelist())[:5]) or 'nothing'}")
            damaged = archive.testzip()
            config = json.loads(archive.read("config.json"))
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _refused(path, f"{type(error).__name__}: {error}") from None
    if damaged:
        raise _refused(path, f"a damaged {damaged}")
    for module, name in _objects(config):
        allowed = name in _WITHOUT_MODULE if module is None else name in _ALLOWED.get(module, ())
        if not allowed and module not in ("keras.initializers", "keras.regularizers"):
            raise _refused(path, f"{module or 'no module'}.{name}")


def _objects(config: Any) -> Iterator[tuple[str | None, str]]:
    """(module, class) of everything that Keras would look up."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield value.get("module"), str(value["class_name"])
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _refused(path: Path, found: str) -> RunError:
    return RunError(
        expected=f"a whole .keras file of plain Keras layers as {path}",
        found=found,
        remedy="Restore it, or name a model that mammo-search has exported; open others with what made them.",
    )
