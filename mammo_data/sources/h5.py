"""Films in an HDF5 file as Kaggle's mirror has them: ``all_mias_scans.h5``, one row an annotation.

Datasets: scan (uint8 [rows, height, width]), REFNUM, BG, CLASS, SEVERITY and, in some copies, X, Y and RADIUS; text is
bytes or str, a missing value "nan". A film with several annotations stands there several times.
"""

from __future__ import annotations

import math
import threading
import zlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mammo_data.decoding.layout import LARGEST_IMAGE, require_room
from mammo_data.decoding.pgm import encode_pgm
from mammo_data.errors import MISREAD, DataError
from mammo_data.sources.archive_members import LARGEST_ARCHIVE
from mammo_data.sources.base import ImageSource, conflicting_copies
from mammo_data.sources.film_names import film_name
from mammo_data.truth.reading import LARGEST_TABLE

if TYPE_CHECKING:
    import h5py

_TEXT = ("REFNUM", "BG", "CLASS", "SEVERITY")
_PLACE = ("X", "Y", "RADIUS")
_MOST_ROWS = 100_000
_LONGEST_TEXT = 256
# gzip, shuffle, Fletcher's checksum and h5py's own LZF; a byte of the last becomes at most 88.
_KNOWN_FILTERS = {1, 2, 3, 32000}
_LZF_GAIN = 88
_SPARE = 2**16


class H5Source(ImageSource):
    """Films in an HDF5 file, handed out as the P5 files they were made from.

    Args:
        path: The file.
        info: A truth table to use instead of the file's own columns, which may lack the findings' places.

    Raises:
        DataError: The file is damaged, or its datasets are not of the types above.
    """

    def __init__(self, path: Path, info: bytes | None = None) -> None:
        import h5py

        self._path = path
        self._lock = threading.Lock()
        try:
            self._file = h5py.File(path, "r")
            self._scans = _dataset(self._file, "scan", path)
            columns = {name: _column(self._file, name, path) for name in _TEXT}
            columns |= {name: _column(self._file, name, path) for name in _PLACE if name in self._file}
        except MISREAD as error:
            raise _unusable(path, f"{type(error).__name__}: {error}") from error
        rows, height, width = self._scans.shape if self._scans.ndim == 3 else (0, 0, 0)
        most = min(_MOST_ROWS, LARGEST_ARCHIVE // max(1, height * width))
        if self._scans.dtype != np.uint8 or not 0 < rows <= most:
            raise _unusable(path, f"scan as {self._scans.dtype} {self._scans.shape}")
        require_room(width, height, 1, 8, str(path))
        wrong = [name for name, values in columns.items() if len(values) != rows]
        if wrong:
            raise _unusable(
                path, f"{len(columns[wrong[0]])} values of {wrong[0]} for {rows} scan{'' if rows == 1 else 's'}"
            )
        self._rows: dict[str, list[int]] = {}
        for row, reference in enumerate(columns["REFNUM"]):
            name = film_name(f"{reference}.pgm")
            if name is None:
                raise _unusable(path, f"REFNUM {reference[:20]!r} in row {row}")
            self._rows.setdefault(name.image_id, []).append(row)
        # Rows of Info.txt: what is missing is left out, so that the one parser judges all packagings.
        own = "\n".join(" ".join(filter(None, cells)) for cells in zip(*columns.values(), strict=True)).encode()
        super().__init__(str(path), dict.fromkeys(self._rows, (path.name,)), own if info is None else info)

    def read(self, image_id: str) -> bytes:
        """One film as a P5 file."""
        first, *copies = self._rows[image_id]
        try:
            with self._lock:
                for row in (first, *copies):
                    _require_honest_chunks(self._scans, row, self._path)
                pixels = self._scans[first]
                for copy in copies:
                    if not np.array_equal(self._scans[copy], pixels):
                        raise conflicting_copies(image_id, f"row {first}", f"row {copy}", str(self._path))
        except MISREAD as error:
            raise _unusable(self._path, f"{type(error).__name__}: {error}") from error
        return encode_pgm(pixels)


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    import h5py

    # Links and external storage would make this file read others.
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise _unusable(path, f"no dataset {name}" if name not in file else f"{name} as a link")
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise _unusable(path, f"{name} as a group")
    if found.is_virtual or found.external:
        raise _unusable(path, f"{name} stored in other files")
    chunk = math.prod(found.chunks or ()) * found.dtype.itemsize
    filters = [found.id.get_create_plist().get_filter(each)[0] for each in range(_filter_count(found))]
    if chunk > LARGEST_IMAGE or set(filters) - _KNOWN_FILTERS or len(filters) > len(set(filters)):
        raise _unusable(path, f"{name} in chunks of {chunk} bytes, packed by filters {filters}")
    return found


def _filter_count(dataset: h5py.Dataset) -> int:
    return int(dataset.id.get_create_plist().get_nfilters())


def _require_honest_chunks(dataset: h5py.Dataset, row: int | None, path: Path) -> None:
    """Refuse chunks that become more than a chunk is: HDF5 unpacks all of them before it looks.

    Args:
        dataset: Perhaps in chunks.
        row: The first index of what is to be read; None for all of it.
        path: The file.
    """
    if dataset.chunks is None or not _filter_count(dataset):
        return
    size = math.prod(dataset.chunks) * dataset.dtype.itemsize
    for place in _chunks_of(dataset, row):
        try:
            mask, packed = dataset.id.read_direct_chunk(place)
        except (OSError, RuntimeError, ValueError):
            # None was written there: it is made of the fill value.
            continue
        unpacker = zlib.decompressobj()
        if dataset.compression == "gzip" and not mask:
            unpacker.decompress(packed, size + 1)
        if len(packed) > size + _SPARE or (
            dataset.compression == "lzf" and len(packed) * _LZF_GAIN > 2 * LARGEST_IMAGE
        ):
            raise _unusable(path, f"a chunk of {len(packed)} bytes packed, for {size}")
        if unpacker.unconsumed_tail:
            raise _unusable(path, f"a chunk of more than {size} bytes unpacked")


def _chunks_of(dataset: h5py.Dataset, row: int | None) -> Iterator[tuple[int, ...]]:
    """Where the chunks begin that hold a row, or all of them."""
    rows = range(0, dataset.shape[0], dataset.chunks[0])
    if row is not None:
        first = row - row % dataset.chunks[0]
        rows = range(first, first + 1)
    others = [range(0, side, step) for side, step in zip(dataset.shape[1:], dataset.chunks[1:], strict=True)]
    return product(rows, *others)


def _column(file: h5py.File, name: str, path: Path) -> list[str]:
    import h5py

    found = _dataset(file, name, path)
    if found.ndim != 1 or found.shape[0] > _MOST_ROWS:
        raise _unusable(path, f"{name} of shape {found.shape}")
    if found.dtype.kind not in "if" and h5py.check_string_dtype(found.dtype) is None:
        raise _unusable(path, f"{name} as {found.dtype}")
    if found.dtype.itemsize > _LONGEST_TEXT:
        raise _unusable(path, f"{name} with {found.dtype.itemsize} bytes a row")
    _require_honest_chunks(found, None, path)
    if found.dtype.kind != "O":
        return [_text(value) for value in found[()].tolist()]
    # Texts of any length lie elsewhere in the file, and many rows may have one long text.
    rest = path.stat().st_size - file["scan"].id.get_storage_size()
    if rest > LARGEST_TABLE:
        raise _unusable(path, f"{rest} bytes beside the scans")
    cells = []
    for row in range(found.shape[0]):
        value = found[row]
        if len(value) > _LONGEST_TEXT:
            raise _unusable(path, f"{name} with {len(value)} bytes in row {row}")
        cells.append(_text(value))
    return cells


def _text(value: object) -> str:
    """A cell as Info.txt writes it; "" for a missing one."""
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    text = " ".join(str(value).split())
    if text.lower() == "nan":
        return ""
    return text[:-2] if text.endswith(".0") and text[:-2].isdigit() else text


def _unusable(path: Path, found: str) -> DataError:
    return DataError(
        expected="the datasets scan (uint8, rows × height × width) and REFNUM, BG, CLASS, SEVERITY (text, one a row)",
        found=f"{found[:200]} in {path}",
        remedy="Use Kaggle's all_mias_scans.h5 as it is, or the folder of PGM files.",
    )
