"""Size and a TIFF's polarity as PNG, JPEG and TIFF headers state them, before a decoder allocates anything for them."""

from __future__ import annotations

import io
import struct

from PIL.JpegImagePlugin import JpegImageFile

from mammo_data.errors import MISREAD

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_TIFF_ORDER = {b"II*\0": "<", b"MM\0*": ">"}
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_PHOTOMETRIC = 256, 257, 262
_TIFF_WHITE_IS_ZERO = 0
_TIFF_SHORT = 3


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
            # Read by its own class: Image.open would refuse many pixels with a limit of its own.
            return JpegImageFile(io.BytesIO(data)).size
    except MISREAD:
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
