"""Checkpoints in TensorFlow's format (a tensor bundle), written byte by byte, so that each may be wrong in its way."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import google_crc32c
import numpy as np

from search.bit.formats.bundle import bundle_tensors, masked

FLOAT, STRING = 1, 7
MAGIC = 0xDB4775248B80FB57
HEADER = (b"", b"\x08\x01\x1a\x02\x08\x01")
"""One shard, little-endian."""
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
KEY = "{}/.ATTRIBUTES/VARIABLE_VALUE"

Record = tuple[bytes, bytes]


def varint(value: int) -> bytes:
    """A number as protocol buffers and LevelDB write it; a negative one has ten bytes."""
    value &= 2**64 - 1
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    """A field with a number."""
    return varint(field << 3) + varint(value)


def message(field: int, content: bytes) -> bytes:
    """A field with bytes."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def entry(dtype: int, shape: Iterable[int], offset: int, size: int, content: bytes = b"") -> bytes:
    """A BundleEntryProto."""
    dims = b"".join(message(2, number(1, side)) for side in shape)
    checksum = masked(google_crc32c.value(content))
    fields = number(1, dtype) + message(2, dims) + number(4, offset) + number(5, size)
    return fields + varint(6 << 3 | 5) + struct.pack("<I", checksum)


def block(records: Iterable[Record]) -> bytes:
    """A block of a table, without its trailer."""
    content = b"".join(varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in records)
    return content + struct.pack("<II", 0, 1)


def table(blocks: list[bytes], *, compression: int = 0, times: int = 1) -> bytes:
    """A table of blocks, each listed so many times."""
    out, places = b"", []
    for content in (*blocks, block([])):
        places.append(varint(len(out)) + varint(len(content)))
        content += bytes([compression])
        out += content + struct.pack("<I", masked(google_crc32c.value(content)))
    index = block([(b"~", place) for place in places[:-1]] * times)
    place = varint(len(out)) + varint(len(index))
    index += b"\0"
    out += index + struct.pack("<I", masked(google_crc32c.value(index)))
    return out + (places[-1] + place).ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def object_graph(names: Mapping[str, str] | Iterable[tuple[str, str]]) -> bytes:
    """A TrackableObjectGraph that tells the name of each key."""
    pairs = names.items() if isinstance(names, Mapping) else names
    return b"".join(message(1, message(2, message(2, name.encode()) + message(3, key.encode()))) for key, name in pairs)


def string_tensor(text: bytes) -> tuple[bytes, int]:
    """A scalar string as it lies in a shard, and the checksum that the index has for it."""
    length = len(text).to_bytes(4, "little")
    own = struct.pack("<I", masked(google_crc32c.value(length)))
    return varint(len(text)) + own + text, masked(google_crc32c.value(length + own + text))


def write_checkpoint(
    folder: Path, arrays: Mapping[str, np.ndarray], graph: bytes = b"", extra: Iterable[Record] = ()
) -> Path:
    """Write `variables/` of a SavedModel.

    Args:
        folder: The SavedModel's.
        arrays: Checkpoint key to values.
        graph: Object graph; none if empty.
        extra: Records that the index has besides; one of a key above replaces it.
    """
    (folder / "variables").mkdir(parents=True)
    data, records = b"", {}
    for key, values in arrays.items():
        content = values.tobytes()
        records[key.encode()] = entry(FLOAT, values.shape, len(data), len(content), content)
        data += content
    if graph:
        content, checksum = string_tensor(graph)
        head = number(1, STRING) + message(2, b"") + number(4, len(data)) + number(5, len(content))
        records[GRAPH.encode()] = head + varint(6 << 3 | 5) + struct.pack("<I", checksum)
        data += content
    records |= dict(extra)
    write_index(folder, table([block([HEADER, *sorted(records.items())])]))
    (folder / "variables/variables.data-00000-of-00001").write_bytes(data)
    return folder


def write_index(folder: Path, index: bytes) -> None:
    """Replace a checkpoint's index."""
    (folder / "variables/variables.index").write_bytes(index)


def without_names(folder: Path) -> Path:
    """Take the object graph out of a checkpoint, and leave all else."""
    kept = [tensor for tensor in bundle_tensors(folder / "variables/variables") if tensor.key != GRAPH]
    records = [
        (tensor.key.encode(), entry(tensor.dtype, tensor.shape, tensor.offset, tensor.size, tensor.content()))
        for tensor in kept
    ]
    write_index(folder, table([block([HEADER, *records])]))
    return folder
