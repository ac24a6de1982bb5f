"""Size and a TIFF's polarity as PNG, JPEG and TIFF headers state them, before a decoder allocates anything for them."""

from __future__ import annotations

import struct

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_TIFF_ORDER = {b"II*\0": "<", b"MM\0*": ">"}
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_PHOTOMETRIC = 256, 257, 262
_TIFF_WHITE_IS_ZERO = 0
_TIFF_SHORT = 3
_JPEG_NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


def encoded_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels, or None where the header is of none of the three formats or damaged.

    Args:
        data: The encoded file.
    """
    try:
        if data.startswith(_PNG):
            width, height = struct.unpack_from(">II", data, 16)
            return width, height
        if data.startswith(b"\xff\xd8"):
            return _jpeg_size(data)
    except struct.error:
        # The header ends before its fields do.
        return None
    fields = _tiff_fields(data)
    return (fields[_TIFF_WIDTH], fields[_TIFF_HEIGHT]) if {_TIFF_WIDTH, _TIFF_HEIGHT} <= fields.keys() else None


def is_white_zero(data: bytes) -> bool:
    """Whether a TIFF states that zero is white (WhiteIsZero); False for the other formats and damaged headers.

    Args:
        data: The encoded file.
    """
    return _tiff_fields(data).get(_TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO


def is_cut_short(data: bytes) -> bool:
    """Whether the end that PNG and JPEG files have is missing; a TIFF's end can't be told by itself."""
    if data.startswith(_PNG):
        return _PNG_END not in data[-1024:]
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[-1024:]
    return False


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF or marker in _JPEG_ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in _JPEG_NO_FRAME:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        (length,) = struct.unpack_from(">H", data, place + 2)
        if length < 2:
            return None
        place += 2 + length
    return None


def _tiff_fields(data: bytes) -> dict[int, int]:
    """Width, height and photometric interpretation of a TIFF's first image by tag, as far as they are there."""
    order = _TIFF_ORDER.get(data[:4])
    if order is None:
        return {}
    found: dict[int, int] = {}
    try:
        (directory,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, directory)
        for place in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", data, place)
            if tag in (_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_PHOTOMETRIC):
                form = f"{order}H" if kind == _TIFF_SHORT else f"{order}I"
                (found[tag],) = struct.unpack_from(form, data, place + 8)
    except struct.error:
        return {}
    return found
