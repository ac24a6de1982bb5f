"""A user's files read within bounds, and the bytes of a table as text."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path

from mammo_data.errors import DataError

LARGEST_TABLE = 16 * 2**20
"""Bytes of Info.txt, cases.csv or split.csv; lines of 150,000 images have as many."""

MOST_LINES = 200_000
"""Lines of a table; each becomes a kilobyte of objects."""

_TOO_LONG = re.compile(r"[^\r\n]{65537}")  # no line has so many characters
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_file(path: Path, largest: int = LARGEST_TABLE) -> bytes:
    """A file's bytes.

    Raises:
        DataError: It can't be read, or is larger than ``largest`` bytes.
    """
    try:
        # Unbuffered, and no more asked for than is there: a buffer of `largest` bytes costs more than the reading.
        with path.open("rb", buffering=0) as file:
            data = file.readall() if os.fstat(file.fileno()).st_size <= largest else b""
            size = max(len(data), os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise DataError(
            expected="a readable file",
            found=f"{error.strerror or error} at {path}",
            remedy="Check the path and its permissions.",
        ) from error
    require_size(size, largest, str(path))
    return data


def require_size(size: int, largest: int, name: str) -> None:
    """Refuse what is too large to be read.

    Raises:
        DataError: ``size`` is larger than ``largest``, both in bytes.
    """
    if size > largest:
        raise DataError(
            expected=f"at most {largest} bytes in a file",
            found=f"{size} in {name}",
            remedy="Replace or remove that file.",
        )


def decode_table(data: bytes, name: str = "Info.txt") -> str:
    """The text of a table's bytes: UTF-8 (MIAS's is plain ASCII), or UTF-16 where the file begins with its mark.

    A spreadsheet's "Unicode text" is UTF-16.

    Raises:
        DataError: The bytes hold a NUL or are neither, or a line is longer than any of a table.
    """
    is_wide = data.startswith(_UTF_16)
    place = -1
    try:
        text = data.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        place = error.start
    else:
        if "\0" not in text:
            _require_lines(text, name)
            return text
        place = data.find(b"\0" if not is_wide else b"\0\0")
    raise DataError(
        expected="UTF-8 text, or UTF-16 with its mark",
        found=f"{f'byte 0x{data[place]:02x}' if data[place] else 'a NUL byte'} at offset {place} of {name}",
        remedy="Get a fresh copy of that file, or save it as UTF-8.",
    )


def _require_lines(text: str, name: str) -> None:
    lines = text.count("\n") + text.count("\r")
    if lines > 2 * MOST_LINES:
        raise DataError(
            expected=f"at most {MOST_LINES} lines",
            found=f"more in {name}",
            remedy="Split the set, or correct the file.",
        )
    if (match := _TOO_LONG.search(text)) is not None:
        raise DataError(
            expected="lines of at most 65,536 characters",
            found=f"a longer one, line {text.count(chr(10), 0, match.start()) + 1} of {name}",
            remedy="Correct the file.",
        )
