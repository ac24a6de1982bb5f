"""PGM files, binary (P5) and plain (P2), read strictly; OpenCV fills a truncated one with zeros in some versions."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import LARGEST_SIDE
from mammo_data.decoding.layout import require_room
from mammo_data.errors import DataError

MAGICS = (b"P2", b"P5")
_WIDEST = 2**16 - 1
_REPLACE = "Replace the file by a fresh copy."
# Netpbm's pgm(5): magic, width, height, maxval, separated by white space or comments, then ONE white-space byte.
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])"
_HEADER = re.compile(rb"P[25]" + _GAP + rb"+([0-9]{1,9})" + _GAP + rb"+([0-9]{1,9})" + _GAP + rb"+([0-9]{1,9})\s")
_LONGEST_HEADER = 4_096
_COMMENT = re.compile(rb"#[^\r\n]*")
_NO_NUMBER = re.compile(rb"[^0-9\s]\S{0,19}|[0-9]{19,}")
_BREAK = re.compile(rb"\s")
_LINE_END = re.compile(rb"[\r\n]")
_PIECE = 2**20  # bytes of text
_ROWS, _SMOOTHER = 64, 4


def read_pgm(data: bytes, name: str) -> tuple[NDArray[Any], int]:
    """The pixels of a PGM file.

    Args:
        data: The file.
        name: What to call it in an error.

    Returns:
        Pixels, unsigned [height, width], for 8-bit P5 files a view of the file's bytes, and the file's maxval.

    Raises:
        DataError: The file is damaged, or larger than a mammogram.
    """
    header = _HEADER.match(data[:_LONGEST_HEADER])
    if header is None:
        raise _damaged(name, "a PGM header with width, height and maxval", repr(data[:20]))
    width, height, maxval = map(int, header.groups())
    require_room(width, height, 1, 8 if maxval < 256 else 16, name)
    if not 0 < maxval <= _WIDEST:
        raise _damaged(name, "a maxval of 1 to 65535", f"{maxval}")
    if data.startswith(b"P2"):
        pixels: NDArray[Any] = _plain_pixels(data, header.end(), width * height, name).reshape(height, width)
    else:
        sample = np.dtype(np.uint8) if maxval < 256 else np.dtype(">u2")
        expected, found = width * height * sample.itemsize, len(data) - header.end()
        if found < expected:
            raise _damaged(name, f"{expected} bytes of pixels for {width} × {height}", f"{found}")
        # An editor's line end does no harm. More is no picture's business: a transfer in text mode adds bytes within.
        after = header.end() + expected
        rest = data[after : after + 3]
        pixels = np.frombuffer(data, sample, width * height, header.end()).reshape(height, width)
        if found > expected and rest not in (b"\n", b"\r\n"):
            what = "another image" if rest.startswith(b"P") else f"{found - expected} more bytes"
            raise DataError(
                expected=f"{expected} bytes of pixels for {width} × {height}",
                found=f"{what} after them in {name}",
                remedy="Save the film as a file of its own; fetch it again if a transfer in text mode added the bytes.",
            )
        pixels = pixels.astype(sample.newbyteorder("="), copy=False)
    largest = int(pixels.max())
    if largest > maxval:
        raise _damaged(name, f"pixels of at most {maxval}, its maxval", f"{largest}")
    if data.startswith(b"P5") and _is_swapped(pixels):
        raise DataError(
            expected="16-bit pixels with the high byte first",
            found=f"the low byte first in {name}",
            remedy="Swap the bytes, or save the film as a PNG or TIFF of 8 or 16 bits.",
        )
    return pixels, maxval


def _is_swapped(levels: NDArray[Any]) -> bool:
    """Whether a picture of more than 8 bits is far smoother with its bytes exchanged."""
    some = levels[:: max(1, len(levels) // _ROWS)].astype(np.int32)
    there, swapped = (float(np.abs(np.diff(each, axis=1)).sum()) for each in (some, (some & 255) << 8 | some >> 8))
    return int(some.max()) > 255 and swapped * _SMOOTHER < there


def is_cut_pgm(data: bytes) -> bool | None:
    """Whether a PGM file lacks some of its pixels; None where the file has no PGM header."""
    if (header := _HEADER.match(data[:_LONGEST_HEADER])) is None:
        return None
    width, height, maxval = map(int, header.groups())
    # A header that states an absurd size is a damaged one, whatever follows.
    plausible = width <= LARGEST_SIDE and height <= LARGEST_SIDE
    return plausible and len(data) - header.end() < width * height * (1 if maxval < 256 else 2)


def encode_pgm(image: NDArray[np.uint8]) -> bytes:
    """The P5 file of an image, byte for byte as MIAS has them.

    Args:
        image: uint8 [height, width].
    """
    return b"P5\n%d %d\n255\n" % (image.shape[1], image.shape[0]) + image.tobytes()


def _plain_pixels(data: bytes, place: int, count: int, name: str) -> NDArray[np.uint16]:
    """The numbers of a P2 file from ``place`` on, uint16 [count]; read in pieces, as each is an object for a moment."""
    pixels: NDArray[np.uint16] = np.empty(count, np.uint16)
    found = 0
    while place < len(data):
        piece, place = _piece(data, place, name)
        text = _COMMENT.sub(b"", piece).strip()
        if (odd := _NO_NUMBER.search(text)) is not None:
            raise _damaged(name, f"numbers of 0 to {_WIDEST}", repr(odd[0].decode("latin-1")))
        numbers = np.fromstring(text, np.int64, sep=" ") if text else np.empty(0, np.int64)
        if numbers.size and numbers.max() > _WIDEST:
            raise _damaged(name, f"numbers of 0 to {_WIDEST}", "larger ones")
        if found + numbers.size <= count:
            pixels[found : found + numbers.size] = numbers
        found += numbers.size
    if found != count:
        raise _damaged(name, f"{count} numbers, one a pixel", f"{found}")
    return pixels


def _piece(data: bytes, place: int, name: str) -> tuple[bytes, int]:
    """Text up to an end that cuts neither a number nor a comment, and where it ends."""
    end = min(place + _PIECE, len(data))
    line = max(data.rfind(b"\n", place, end), data.rfind(b"\r", place, end), place)
    in_comment = data.find(b"#", line, end) >= 0
    while end < len(data):
        match = (_LINE_END if in_comment else _BREAK).search(data, end, end + _LONGEST_HEADER)
        if match is not None:
            return data[place : match.end()], match.end()
        if len(data) - end > _LONGEST_HEADER:
            raise _damaged(name, "numbers between white space", "none for thousands of bytes")
        end = len(data)
    return data[place:end], end


def _damaged(name: str, expected: str, found: str) -> DataError:
    return DataError(expected=expected, found=f"{found} in {name}", remedy=_REPLACE)
