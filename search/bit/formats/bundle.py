"""TensorFlow's checkpoint files (a tensor bundle): what the index declares, and the bytes of one tensor.

Read without TensorFlow, whose reader ends the whole process (SIGABRT, nothing to catch) at a negative or overflowing
shape, an unknown type or a damaged entry. The index is a LevelDB table of BundleEntryProto, written uncompressed.
Sources: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, tensorflow/core/protobuf/tensor_bundle.proto,
tsl/lib/io/format.cc.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from search.bit.formats.plain import read_plain, read_plain_part
from search.bit.formats.protobuf import every, fields, varint, whole_number

LARGEST_INDEX = 4 * 2**20
MOST_TENSORS, MOST_BLOCKS = 20_000, 100
_LONGEST_KEY = 2_000
_FOOTER, _TABLE_MAGIC, _BLOCK_TRAILER = 48, 0xDB4775248B80FB57, 5


@dataclass(frozen=True)
class BundleTensor:
    """What the index declares of a tensor.

    Attributes:
        key: Its name in the checkpoint.
        dtype: Number in TensorFlow's `DataType`.
        shape: Its shape; a hostile one may be anything.
        shard: The file that holds it.
        offset: Where in that file, in bytes.
        size: Bytes.
        crc32c: Masked checksum of the bytes.
    """

    key: str
    dtype: int
    shape: tuple[int, ...]
    shard: Path
    offset: int
    size: int
    crc32c: int

    def content(self) -> bytes:
        """Its bytes. The caller has compared ``size`` with what the tensor may have.

        Raises:
            ValueError: If the file is shorter.
        """
        return read_plain_part(self.shard, self.offset, self.size)


def masked(checksum: int) -> int:
    """The form in which TensorFlow stores a CRC-32C, whose own bytes may lie in what is checked again."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def bundle_tensors(prefix: Path) -> list[BundleTensor]:
    """All tensors that a checkpoint's index declares, in its order; no tensor is read.

    Args:
        prefix: Path of the checkpoint without `.index`.

    Raises:
        ValueError: If the index is damaged, too large, or declares what a BiT never has.
    """
    index = memoryview(read_plain(prefix.with_name(f"{prefix.name}.index"), LARGEST_INDEX))
    records: dict[bytes, memoryview] = {}
    for key, entry in _records(index):
        if records.setdefault(key, entry) is not entry:
            raise ValueError(f"an index that lists {key!r} twice")
    header = records.pop(b"", memoryview(b""))
    shards, big_endian = whole_number(header, 1), whole_number(header, 2)
    if not shards or big_endian:
        raise ValueError("an index without shards, or of a big-endian machine")
    return [_tensor(key, entry, prefix, shards) for key, entry in records.items()]


def _tensor(key: bytes, entry: memoryview, prefix: Path, shards: int) -> BundleTensor:
    values = {number: value for number, value, _ in fields(entry)}
    if 7 in values:
        raise ValueError(f"a partitioned tensor, {key!r}")
    shard = prefix.with_name(f"{prefix.name}.data-{values.get(3, 0):05d}-of-{shards:05d}")
    shape = tuple(whole_number(dim, 1) for part in every(entry, 2) for dim in every(part, 2))
    return BundleTensor(
        key.decode(), values.get(1, 0), shape, shard, values.get(4, 0), values.get(5, 0), values.get(6, 0)
    )


def _records(table: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    if len(table) < _FOOTER or int.from_bytes(table[-8:], "little") != _TABLE_MAGIC:
        raise ValueError("an index that is no table")
    footer = table[-_FOOTER:]
    at = 0
    for _ in range(2):  # the place of the unused metaindex comes first
        _, at = varint(footer, at)
    left = MOST_TENSORS
    # A few bytes may name the same block over and over.
    for n_blocks, (_, place) in enumerate(_block(table, footer[at:]), 1):
        if n_blocks > MOST_BLOCKS:
            raise ValueError(f"an index of more than {MOST_BLOCKS} blocks")
        for record in _block(table, place):
            left -= 1
            if left < 0:
                raise ValueError(f"an index of more than {MOST_TENSORS} tensors")
            yield record


def _block(table: memoryview, place: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Keys, which leave out what they share with the one before, and values of a block; `place` is where it lies."""
    start, at = varint(place, 0)
    size, _ = varint(place, at)
    end = start + size
    if end + _BLOCK_TRAILER > len(table) or size < 4:
        raise ValueError("an index that refers to what lies outside of it")
    checksum = struct.unpack("<I", table[end + 1 : end + _BLOCK_TRAILER])[0]
    if table[end] or masked(google_crc32c.value(bytes(table[start : end + 1]))) != checksum:
        raise ValueError("an index that is compressed or damaged")
    content = table[start:end]
    end = size - 4 * (1 + struct.unpack("<I", content[-4:])[0])
    key, at = b"", 0
    while at < end:
        shared, at = varint(content, at)
        own, at = varint(content, at)
        length, at = varint(content, at)
        if shared + own > _LONGEST_KEY or at + own + length > end:
            raise ValueError("an index whose entries do not fit")
        key = key[:shared] + bytes(content[at : at + own])
        at += own + length
        yield key, content[at - length : at]
