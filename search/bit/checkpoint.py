"""The files that others publish BiT's weights in, and which of their arrays is which variable.

Two formats: the official npz (names with or without a prefix, with or without the ImageNet head) and a TF2 SavedModel,
whose checkpoint keys may be mere positions while the true names stand in its object graph.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from search.bit.architecture import BitArchitecture
from search.errors import WeightsError

_OFFICIAL_TAIL = re.compile(
    r"(?:^|.*?/)((?:root_block/standardized_conv2d/kernel|block\d+/unit\d+/[abc]/.+|group_norm/(?:gamma|beta)"
    r"|head/conv2d/(?:kernel|bias)))$"
)
_ZIP_MAGIC = b"PK\x03\x04"
_ATTRIBUTE_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz file by their names in the file.

    Raises:
        WeightsError: If the file is absent or is no readable npz.
    """
    try:
        # Opened here, for numpy leaves a file open that turns out to be no zip.
        with path.open("rb") as file:
            start = file.read(len(_ZIP_MAGIC))
            if start != _ZIP_MAGIC:  # numpy would advise to unpickle it
                raise zipfile.BadZipFile(f"no npz begins with {start!r}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise WeightsError(
            expected=f"a readable npz file at {path}",
            found=f"{type(error).__name__}: {error}",
            remedy="Fetch the file again, or name another one with --weights.",
        ) from error


def read_saved_model(directory: Path) -> dict[str, np.ndarray]:
    """All floating-point variables of a SavedModel's checkpoint, named by its object graph where that has names.

    The model's functions are not loaded, so no TensorFlow Hub and no tf_keras is needed.

    Args:
        directory: The folder that holds `saved_model.pb` and `variables/`.

    Returns:
        Name to array, in the numerical order of positional keys (`variables/2` before `variables/10`).

    Raises:
        WeightsError: If the folder holds no readable checkpoint.
    """
    import tensorflow as tf

    prefix = directory / "variables" / "variables"
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        names = _names_by_key(reader)
        shapes = reader.get_variable_to_shape_map()
        dtypes = reader.get_variable_to_dtype_map()
        keys = [key for key in shapes if key != _OBJECT_GRAPH_KEY and dtypes[key].is_floating]
        return {
            names.get(key) or key.removesuffix(_ATTRIBUTE_SUFFIX): reader.get_tensor(key)
            for key in sorted(keys, key=_numbers_as_numbers)
        }
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise WeightsError(
            expected=f"a TensorFlow SavedModel in {directory}",
            found=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}",
            remedy="Name the folder that holds saved_model.pb and variables/ with --weights.",
        ) from error


@dataclass(frozen=True)
class Matching:
    """Which array may be which variable.

    Args:
        candidates: Possible assignments, the likeliest first, each with exactly the official names as float32. By name
            there is one; by order there may be several, which only the published checksums can tell apart.
        by_name: Whether the file's own names decided.
    """

    candidates: tuple[dict[str, np.ndarray], ...]
    by_name: bool


def match_official(arrays: Mapping[str, np.ndarray], arch: BitArchitecture, source: str) -> Matching:
    """Assign arrays to the official names: by name if possible, else by order and shape.

    Args:
        arrays: Arrays by the names they had in their file, in the file's order.
        arch: The architecture that they should fill.
        source: What to call the file in errors.

    Raises:
        WeightsError: If names or shapes don't fit.
    """
    by_name = {official: array for name, array in arrays.items() if (official := official_name(name)) is not None}
    wanted = arch.variable_shapes
    if by_name:
        return Matching((_checked(by_name, wanted, source),), by_name=True)
    values = tuple(arrays.values())
    candidates = tuple(
        {name: value.astype(np.float32, copy=False) for name, value in zip(order, values, strict=True)}
        for order in _known_orders(arch)
        if len(order) == len(values)
        and all(value.shape == wanted[name] for name, value in zip(order, values, strict=True))
    )
    if not candidates:
        raise WeightsError(
            expected=f"the {len(wanted)} variables of BiT {arch.name} by name or in a known order",
            found=f"{len(arrays)} arrays in {source} that fit neither",
            remedy="Name a BiT checkpoint of this architecture with --weights.",
        )
    return Matching(tuple({name: found[name] for name in wanted} for found in candidates), by_name=False)


def official_name(name: str) -> str | None:
    """The official form `resnet/…` of a variable's name, whatever its prefix and suffix; None if it is none of BiT's.

    >>> official_name("module/resnet/block1/unit01/a/group_norm/beta:0")
    'resnet/block1/unit01/a/group_norm/beta'
    """
    match = _OFFICIAL_TAIL.match(name.removesuffix(_ATTRIBUTE_SUFFIX).split(":")[0])
    return f"resnet/{match.group(1)}" if match else None


def _checked(
    by_name: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]], source: str
) -> dict[str, np.ndarray]:
    missing = [name for name in wanted if name not in by_name]
    surplus = [name for name in by_name if name not in wanted and "/head/" not in name]
    misshapen = [name for name in wanted if name in by_name and by_name[name].shape != wanted[name]]
    if missing or surplus or misshapen:
        first = (missing + surplus + misshapen)[0]
        detail = f"shape {by_name[first].shape} instead of {wanted[first]}" if first in misshapen else "the first"
        raise WeightsError(
            expected=f"the {len(wanted)} variables of this backbone",
            found=f"{len(missing)} missing, {len(surplus)} unknown, {len(misshapen)} of another shape in {source} "
            f"({first}: {detail})",
            remedy="Choose the --backbone that the file was made for, or another file with --weights.",
        )
    return {name: by_name[name].astype(np.float32, copy=False) for name in wanted}


def _known_orders(arch: BitArchitecture) -> Sequence[tuple[str, ...]]:
    """Orders in which a module may list its variables: of creation, of creation with beta first, alphabetical."""
    created = tuple(arch.variable_shapes)
    # Every gamma is followed by its beta, so exchanging the two words exchanges the places.
    exchanged = {"gamma": "beta", "beta": "gamma"}
    beta_first = tuple(re.sub("gamma$|beta$", lambda leaf: exchanged[leaf.group()], name) for name in created)
    return (created, beta_first, tuple(sorted(created)))


def _names_by_key(reader: object) -> dict[str, str]:
    """Checkpoint key to the variable's full name, from the object graph; empty for a checkpoint without one."""
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    if not reader.has_tensor(_OBJECT_GRAPH_KEY):  # type: ignore[attr-defined]
        return {}
    graph = TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor(_OBJECT_GRAPH_KEY))  # type: ignore[attr-defined]
    return {
        attribute.checkpoint_key: attribute.full_name
        for node in graph.nodes
        for attribute in node.attributes
        if attribute.full_name
    }


def _numbers_as_numbers(key: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", key))
