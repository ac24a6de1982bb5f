"""Arrays of npz and safetensors files: what the header declares, checked against the file, and values on demand."""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from search.bit.formats.base import StoredArray
from search.files.damage import DAMAGE

LARGEST_HEADER = 2**20
"""Bytes of a safetensors header; that of 151 tensors has 20 kB."""
MOST_ARRAYS = 5_000
_SAFETENSORS_FLOATS: dict[str, np.dtype] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8")}


def is_safetensors(start: bytes) -> bool:
    """Whether a file that begins so is a safetensors file, sound or not: a length of 8 bytes, then JSON."""
    return start[5:9] == b"\0\0\0{"


@contextmanager
def open_safetensors(path: Path) -> Iterator[tuple[list[StoredArray], dict[str, str]]]:
    """The arrays of a safetensors file, readable while the block lasts, and its metadata.

    Raises:
        ValueError: If it is none, or if its header declares what the file has no room for.
    """
    with path.open("rb") as raw:
        start = raw.read(9)
    length, size = int.from_bytes(start[:8], "little"), path.stat().st_size
    # The library reads headers of up to 100 MB.
    if not is_safetensors(start) or length > min(LARGEST_HEADER, size - 8):
        raise ValueError(f"a header of {length} bytes in a file of {size} (at most {LARGEST_HEADER})")
    try:
        # The library itself compares the places of all tensors with each other and with the file's size.
        with safe_open(path, framework="numpy") as file:
            yield [_safetensors_array(file, name) for name in file.keys()], file.metadata() or {}  # noqa: SIM118  (no mapping)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _safetensors_array(file: Any, name: str) -> StoredArray:
    declared = file.get_slice(name)
    dtype = _SAFETENSORS_FLOATS.get(str(declared.get_dtype()))
    return StoredArray(name, tuple(declared.get_shape()), dtype, functools.partial(file.get_tensor, name))


def npz_arrays(archive: zipfile.ZipFile) -> list[StoredArray]:
    """The arrays of an npz, readable while the archive is open.

    Raises:
        ValueError: If a member is no array, or there are too many.
    """
    entries = archive.infolist()
    if len(entries) > MOST_ARRAYS:
        raise ValueError(f"{len(entries)} arrays, more than {MOST_ARRAYS}")
    return [_npz_array(archive, entry) for entry in entries]


def _npz_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> StoredArray:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        with archive.open(entry) as file:
            shape, _, dtype = readers[np.lib.format.read_magic(file)](file)
    except DAMAGE as error:  # numpy would advise to trust the file
        raise ValueError(f"{entry.filename[:200]!r}, which is no array that can be read") from error

    def read() -> np.ndarray:
        with archive.open(entry) as content:
            return np.lib.format.read_array(content, allow_pickle=False)

    return StoredArray(entry.filename.removesuffix(".npy"), shape, dtype if dtype.kind == "f" else None, read)
