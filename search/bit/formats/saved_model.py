"""The variables of a SavedModel, by name; of its program nothing is loaded, let alone run.

Keys of a checkpoint may be mere positions in the object that was saved (`variables/0`). The true names stand in the
checkpoint's own object graph, else in that of `saved_model.pb`; both are read as data.
Sources: tensorflow/core/protobuf/trackable_object_graph.proto, saved_object_graph.proto, saved_model.proto,
meta_graph.proto.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path

import google_crc32c
import numpy as np

from search.bit.formats.base import StoredArray
from search.bit.formats.bundle import BundleTensor, bundle_tensors, masked
from search.bit.formats.plain import plain_size, read_plain
from search.bit.formats.protobuf import every, last, text, varint, whole_number

INDEX = Path("variables", "variables.index")
"""What every SavedModel has, and what tells its folder; that of a TF1 Hub module has no saved_model.pb."""
PROGRAM = "saved_model.pb"
LARGEST_PROGRAM, LARGEST_OBJECT_GRAPH = 64 * 2**20, 4 * 2**20

_FLOATS: dict[int, np.dtype] = {1: np.dtype("<f4"), 2: np.dtype("<f8"), 19: np.dtype("<f2")}
_STRING = 7
_OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
_ATTRIBUTE = "/.ATTRIBUTES/VARIABLE_VALUE"


def saved_model_arrays(folder: Path) -> list[StoredArray]:
    """All variables of a SavedModel, declared and not read, in the order of their positions (2 before 10).

    Args:
        folder: What holds `variables/`, and `saved_model.pb`.

    Raises:
        ValueError: If an index or a graph is damaged or too large, or refers to what is not there.
        OSError: If a file is absent.
    """
    if (folder / INDEX.parent).is_symlink():
        raise ValueError("variables, which is a link")
    tensors = {tensor.key: tensor for tensor in bundle_tensors(folder / INDEX.with_suffix(""))}
    graph = tensors.pop(_OBJECT_GRAPH_KEY, None)
    variables = [tensor for tensor in tensors.values() if tensor.dtype != _STRING]
    names = _names_in_checkpoint(_only_string(graph)) if graph else {}
    if not names and (folder / PROGRAM).exists():
        names = _names_in_program(read_plain(folder / PROGRAM, LARGEST_PROGRAM), [tensor.key for tensor in variables])
    variables.sort(key=lambda tensor: _numbers_as_numbers(tensor.key))
    return [_stored(tensor, names.get(tensor.key) or tensor.key.removesuffix(_ATTRIBUTE)) for tensor in variables]


def _stored(tensor: BundleTensor, name: str) -> StoredArray:
    dtype = _FLOATS.get(tensor.dtype)
    if dtype and tensor.size != dtype.itemsize * prod(tensor.shape):
        raise ValueError(f"{tensor.size} bytes for {tensor.key!r} of shape {tensor.shape}")
    if tensor.offset + tensor.size > plain_size(tensor.shard):
        raise ValueError(f"{tensor.shard.name}, which breaks off before the end of {tensor.key!r}")
    return StoredArray(name, tensor.shape, dtype, functools.partial(_values, tensor, dtype))


def _values(tensor: BundleTensor, dtype: np.dtype | None) -> np.ndarray:
    content = tensor.content()
    if masked(google_crc32c.value(content)) != tensor.crc32c:
        raise ValueError(f"{tensor.key!r}, whose bytes do not match their checksum")
    return np.frombuffer(content, dtype).reshape(tensor.shape)


def _only_string(tensor: BundleTensor) -> memoryview:
    """The text of a scalar string tensor: its length, the length's checksum, its bytes."""
    if tensor.dtype != _STRING or tensor.shape or tensor.size > LARGEST_OBJECT_GRAPH:
        raise ValueError(
            f"an object graph of {tensor.size} bytes, more than {LARGEST_OBJECT_GRAPH}, or of another type"
        )
    content = memoryview(tensor.content())
    length, at = varint(content, 0)
    graph = content[at + 4 :]
    checksum = google_crc32c.value((length & 0xFFFFFFFF).to_bytes(4, "little") + content[at:])
    if length != len(graph) or masked(checksum) != tensor.crc32c:
        raise ValueError("an object graph whose bytes do not match their checksum")
    return graph


def _names_in_checkpoint(graph: memoryview) -> dict[str, str]:
    """Checkpoint key to the variable's full name."""
    names: dict[str, str] = {}
    for node in every(graph, 1):
        for attribute in every(node, 2):
            key, name = text(attribute, 3), text(attribute, 2)
            if name and names.setdefault(key, name) != name:
                raise ValueError(f"an object graph with two names for {key!r}")
    return names


def _names_in_program(program: bytes, keys: list[str]) -> dict[str, str]:
    """Checkpoint key, a path from object to object, to the name of the variable at its end."""
    graph = last(last(memoryview(program), 2), 7)
    if len(graph) > LARGEST_OBJECT_GRAPH:
        raise ValueError(f"an object graph of {len(graph)} bytes, more than {LARGEST_OBJECT_GRAPH}")
    nodes = list(every(graph, 1))

    @functools.cache
    def children(node: int) -> Mapping[str, int]:
        return {text(child, 2): whole_number(child, 1) for child in every(nodes[node], 1)}

    return {key: name for key in keys if (name := _name_at(key, nodes, children))}


def _name_at(key: str, nodes: list[memoryview], children: Callable[[int], Mapping[str, int]]) -> str:
    node = 0
    for step in key.removesuffix(_ATTRIBUTE).split("/"):
        # How TensorFlow writes a dot and a slash of an object's name into a key.
        child = children(node).get(re.sub(r"\.(.)", lambda escaped: {"S": "/"}.get(escaped[1], "."), step))
        if child is None or child >= len(nodes):
            return ""
        node = child
    return text(last(nodes[node], 7), 6)


def _numbers_as_numbers(key: str) -> tuple[tuple[int, str], ...]:
    # int() of thousands of digits is slow, and refused.
    return tuple(
        (int(part), "") if part.isdecimal() and len(part) < 19 else (-1, part) for part in re.split(r"(\d+)", key)
    )
