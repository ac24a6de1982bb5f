"""Named arrays in safetensors and npz files that tell their own damage.

Both formats carry arrays only, so that reading one can't run code. A checksum (CRC-32C of names, types, shapes and
values) lies in the file: as ``crc32c`` in safetensors' metadata, as an array of that name in an npz.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from search.files.atomic import replacing
from search.files.damage import DAMAGE

Arrays = dict[str, NDArray[Any]]

_CHECKSUM = "crc32c"


def save_safetensors(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write arrays to a safetensors file, whole or not at all.

    Raises:
        OSError: If it can't be written; safetensors' own error would hide the disk's.
    """
    with replacing(path) as temporary:
        try:
            save_file(dict(arrays), temporary, metadata=dict(metadata))
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else errno.EIO, str(error), str(path)) from error


def save_checked_safetensors(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays with their checksum."""
    save_safetensors(path, arrays, {_CHECKSUM: checksum(arrays)})


def load_checked_safetensors(path: Path) -> Arrays | None:
    """Read what `save_checked_safetensors` wrote; None where it is missing or damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
            written = (file.metadata() or {}).get(_CHECKSUM)
    except (*DAMAGE, SafetensorError):
        return None
    return arrays if written == checksum(arrays) else None


def save_checked_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays with their checksum to an npz file, whole or not at all."""
    content: dict[str, Any] = {**arrays, _CHECKSUM: np.array(checksum(arrays))}
    with replacing(path) as temporary:
        np.savez(temporary, **content)


def load_checked_npz(path: Path) -> Arrays | None:
    """Read what `save_checked_npz` wrote; None where it is missing or damaged."""
    try:
        # Opened here: numpy would leave a damaged file open.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            if any(member.file_size > member.compress_size for member in file.zip.infolist()):
                return None  # numpy stores them as they are; what grows when it is read could fill the memory
            arrays = {name: file[name] for name in file.files}
            written = str(arrays.pop(_CHECKSUM))
    except DAMAGE:
        return None
    return arrays if written == checksum(arrays) else None


def checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    """CRC-32C (8 hex digits) of names, types, shapes and values."""
    total = 0
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total = google_crc32c.extend(total, f"{name} {array.dtype.str} {arrays[name].shape}".encode())
        total = google_crc32c.extend(total, array.tobytes())
    return f"{total:08x}"
