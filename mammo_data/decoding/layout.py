"""How large the picture in a PNG, JPEG or TIFF file is, by its header alone: what decoding would take is known before.

A few bytes can state any size, and a decoder believes them: nine megabytes of PNG took 7.2 GiB.
"""

from __future__ import annotations

import re
import struct
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from mammo_data.cases import LARGEST_SIDE
from mammo_data.errors import DataError

LARGEST_IMAGE = 136_000_000
"""Bytes of pixels, width × height × channels × bytes of one: 6,000 × 7,500 in three channels of 8 bits, or 68 million
grey pixels of 16 bits; a film of 24 × 30 cm at 43 µm has 39 million."""

_SEVERAL = 2**25  # bytes of pixels; a detector's film of 3,328 × 4,096 and 16 bits has less
_LARGE = threading.Lock()
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_MOST_PARTS = 100_000  # chunks, segments or entries of a directory that a header is read through
_MOST_SCANS = 64  # ten are usual in a progressive JPEG; each costs a pass over the whole picture
# Colour types of PNG (ISO/IEC 15948): OpenCV makes a palette three channels, and whatever is transparent four.
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 4, 6: 4}
_JPEG_MARKER = re.compile(rb"\xff+([\xc0-\xcf\xd9-\xfe])")
_JPEG_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
# Byte order, and the forms of an offset and of a directory's count; the last two are BigTIFF.
_TIFF_FORMS = {b"II*\0": ("<", "I", "H"), b"MM\0*": (">", "I", "H")}
_TIFF_FORMS |= {b"II+\0": ("<", "Q", "Q"), b"MM\0+": (">", "Q", "Q")}
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES = 254, 256, 257, 258, 262, 277
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_TIFF_TAGS = (_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT)
_TIFF_TYPES = {3: "H", 16: "Q"}
_WHITE_IS_ZERO, _PALETTE = 0, 3
_PREVIEW_OR_MASK = 0b101
_MOST_PAGES = 1000
_WIDEST_TILE = 1024  # pixels by which tiles may reach over a picture's edge


@dataclass(frozen=True)
class Layout:
    """What a header states.

    Attributes:
        width: In pixels.
        height: In pixels.
        channels: As the decoder makes them, a palette's three and that of transparency included.
        bits: Of one channel.
        is_transparent: Whether one of the channels says what is transparent.
        fault: Why the file is not to be decoded: "a JPEG of 900 scans"; "" where nothing speaks against it.
    """

    width: int
    height: int
    channels: int = 1
    bits: int = 8
    is_transparent: bool = False
    fault: str = ""


def layout(data: bytes) -> Layout | None:
    """What a file's header states, or None where it is of none of the three formats or damaged."""
    try:
        if data.startswith(_PNG):
            return _png(data)
        if data.startswith(_JPEG):
            return jpeg_layout(data)
        return _tiff(data)
    except (struct.error, OverflowError, IndexError, LookupError):
        return None


def require_room(width: int, height: int, channels: int, bits: int, name: str) -> AbstractContextManager[object]:
    """Refuse what no mammogram's size is, before it is decoded.

    Args:
        width: In pixels.
        height: In pixels.
        channels: Values of a pixel.
        bits: Of a value; 9 to 16 take two bytes.
        name: What to call the image in an error.

    Returns:
        What to enter for the decoding: of large images one is decoded at a time, whatever the number of threads.

    Raises:
        DataError: A side is longer than `LARGEST_SIDE`, or the whole is larger than `LARGEST_IMAGE`.
    """
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise DataError(
            expected=f"sides of 1 to {LARGEST_SIDE} pixels",
            found=f"{width} × {height} in {name}",
            remedy="Replace the file by a fresh copy.",
        )
    size = width * height * channels * -(-bits // 8)
    if size > LARGEST_IMAGE:
        raise DataError(
            expected=f"at most {LARGEST_IMAGE // 10**6} MB of pixels in an image",
            found=f"{size // 10**6} MB ({width} × {height}, {channels} × {bits} bits) in {name}",
            remedy="Save the film in grey, or at a lower resolution.",
        )
    return _LARGE if size > _SEVERAL else nullcontext()


def is_white_zero(data: bytes) -> bool:
    """Whether a TIFF states that zero is white (WhiteIsZero); False for the other formats and damaged headers.

    Args:
        data: The encoded file.
    """
    return next(iter(_tiff_pages(data)), {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def count_pages(data: bytes) -> int:
    """How many images a TIFF holds, previews and masks aside; 0 for the other formats and damaged headers."""
    return sum(not fields.get(_SUBFILE, 0) & _PREVIEW_OR_MASK for fields in _tiff_pages(data))


def jpeg_layout(data: bytes, start: int = 0) -> Layout | None:
    """What the frame of a JPEG, lossless JPEG or JPEG-LS stream states; None where there is none.

    Args:
        data: What holds the stream.
        start: Where it begins.

    Raises:
        struct.error: It ends within a segment.
    """
    found: Layout | None = None
    frames = scans = parts = 0
    place = start + len(_JPEG)
    while (match := _JPEG_MARKER.search(data, place)) is not None and match[1][0] != _JPEG_END:
        marker, place = match[1][0], match.end()
        (length,) = struct.unpack_from(">H", data, place)
        if marker in _JPEG_FRAMES:
            bits, height, width, channels = struct.unpack_from(">BHHB", data, place + 2)
            found = found or Layout(width, height, channels, bits)
            frames += 1
        scans += marker == _JPEG_SCAN
        parts += 1
        if parts > _MOST_PARTS or scans > _MOST_SCANS or frames > 1:
            break
        place += length
    if found is None:
        return None
    fault = "a JPEG of several frames" if frames > 1 else ""
    if scans > _MOST_SCANS or parts > _MOST_PARTS:
        fault = f"a JPEG of more than {_MOST_SCANS} scans or {_MOST_PARTS} segments"
    return Layout(found.width, found.height, found.channels, found.bits, fault=fault)


def _png(data: bytes) -> Layout:
    width, height, bits, colours = struct.unpack_from(">IIBB", data, 16)
    channels, fault = _PNG_CHANNELS[colours], ""
    place, parts = len(_PNG), 0
    while place + 8 <= len(data) and not fault:
        length, kind = struct.unpack_from(">I4s", data, place)
        parts += 1
        if kind == b"tRNS":
            channels = 4
        elif kind == b"acTL":
            fault = "an animated PNG"
        elif kind == b"IEND":
            break
        if place + 12 + length > len(data):
            fault = "a PNG without its end"
        elif parts > _MOST_PARTS:
            fault = f"a PNG of more than {_MOST_PARTS} chunks"
        place += 12 + length
    return Layout(width, height, channels, max(bits, 8), channels == 4, fault)


def _tiff(data: bytes) -> Layout | None:
    fields = next(iter(_tiff_pages(data)), {})
    if not {_WIDTH, _HEIGHT} <= fields.keys():
        return None
    width, height = fields[_WIDTH], fields[_HEIGHT]
    channels = 3 if fields.get(_PHOTOMETRIC) == _PALETTE else fields.get(_SAMPLES, 1)
    across, down = fields.get(_TILE_WIDTH, 0), fields.get(_TILE_HEIGHT, 0)
    fault = ""
    if across > width + _WIDEST_TILE or down > height + _WIDEST_TILE:
        fault = f"tiles of {across} × {down} pixels"
    return Layout(width, height, channels, max(fields.get(_BITS, 8), 8), fault=fault)


def _tiff_pages(data: bytes) -> list[dict[int, int]]:
    """The fields of each image of a TIFF or BigTIFF by tag, as far as they are there."""
    if (forms := _TIFF_FORMS.get(data[:4])) is None:
        return []
    order, offset, number = forms
    is_big = offset == "Q"
    step, value, inline = (20, 12, 8) if is_big else (12, 8, 4)
    pages: list[dict[int, int]] = []
    seen: set[int] = set()
    parts = 0
    try:
        (directory,) = struct.unpack_from(order + offset, data, 8 if is_big else 4)
        # A directory that names an earlier one as the next makes a circle.
        while directory and len(pages) < _MOST_PAGES and directory not in seen and parts < _MOST_PARTS:
            seen.add(directory)
            (count,) = struct.unpack_from(order + number, data, directory)
            first = directory + struct.calcsize(number)
            (directory,) = struct.unpack_from(order + offset, data, first + step * count)
            parts += count
            pages.append({})
            for place in range(first, first + step * min(count, _MOST_PARTS), step):
                tag, kind, values = struct.unpack_from(f"{order}HH{offset}", data, place)
                if tag in _TIFF_TAGS:
                    form = order + _TIFF_TYPES.get(kind, "I")
                    there = place + value
                    if struct.calcsize(form) * values > inline:
                        (there,) = struct.unpack_from(order + offset, data, there)
                    (pages[-1][tag],) = struct.unpack_from(form, data, there)
    except (struct.error, OverflowError):
        return pages
    return pages
