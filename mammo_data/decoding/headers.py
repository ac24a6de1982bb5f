"""What the first bytes of a file say: its kind, and size, pages and polarity before a decoder allocates anything."""

from __future__ import annotations

import io
import re
import struct

from PIL.JpegImagePlugin import JpegImageFile

from mammo_data.errors import MISREAD

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
# Byte order, and the forms of an offset and of a directory's count; the last two are BigTIFF.
_TIFF_FORMS = {b"II*\0": ("<", "I", "H"), b"MM\0*": (">", "I", "H")}
_TIFF_FORMS |= {b"II+\0": ("<", "Q", "Q"), b"MM\0+": (">", "Q", "Q")}
_TIFF_SUBFILE, _TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_PHOTOMETRIC = 254, 256, 257, 262
_TIFF_TAGS = (_TIFF_SUBFILE, _TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_PHOTOMETRIC)
_TIFF_WHITE_IS_ZERO = 0
_TIFF_TYPES = {3: "H", 16: "Q"}
_TIFF_PREVIEW_OR_MASK = 0b101
_MOST_PAGES = 1000

# The first element of a file without preamble: group 2 in explicit form, or one of group 8 that stands first.
_BARE_DICOM = re.compile(rb"\x02\0[\0-\x16]\0[A-Z]{2}|\x08\0[\0\x01\x05\x08\x12-\x18]\0(?:[A-Z]{2}|[\x02-\x80]\0\0\0)")
_RARE_JPEG = re.compile(rb"\xff[\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xf7]\0")

_OTHER_KINDS = (
    *((b"GIF8", "a GIF image"), (b"BM", "a BMP image"), (b"RIFF", "a WebP image"), (b"8BPS", "a Photoshop image")),
    *((b"\0\0\0\x0cjP", "a JPEG 2000 image"), (b"\xff\x4f\xff\x51", "a JPEG 2000 image"), (b"NRRD", "an NRRD image")),
    *((b"P1", "a bitmap (PBM)"), (b"P4", "a bitmap (PBM)"), (b"P3", "a colour image (PPM)")),
    *((b"P6", "a colour image (PPM)"), (b"P7", "a PAM image"), (b"\x93NUMPY", "a NumPy array")),
    *((b"PK\x03\x04", "a zip archive"), (b"\x1f\x8b", "a gzip file"), (b"Rar!", "a RAR archive")),
    *((b"%PDF", "a PDF document"), (b"\x89HDF", "an HDF5 file"), (b"<!", "a web page"), (b"<html", "a web page")),
    (b"version https://git-lfs", "a Git LFS pointer in place of the file"),
)


def is_dicom(data: bytes) -> bool:
    """Whether a file is DICOM, by its first 132 bytes; some archives send it without preamble."""
    return data[128:132] == b"DICM" or _BARE_DICOM.match(data) is not None


def kind_in_words(data: bytes) -> str:
    """What a file is that no decoder here reads, by its first bytes: "a GIF image"."""
    if not data.strip(b"\0"):
        return f"{len(data)} zero bytes" if data else "an empty file"
    if data[344:348] in (b"n+1\0", b"ni1\0"):
        return "a NIfTI image"
    if data.startswith(b"\xff\xd8") and _RARE_JPEG.search(data[:65_536]):
        return "a lossless or otherwise rare kind of JPEG"
    return next((kind for magic, kind in _OTHER_KINDS if data.startswith(magic)), "")


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
    fields = next(iter(_tiff_pages(data)), {})
    return (fields[_TIFF_WIDTH], fields[_TIFF_HEIGHT]) if {_TIFF_WIDTH, _TIFF_HEIGHT} <= fields.keys() else None


def is_white_zero(data: bytes) -> bool:
    """Whether a TIFF states that zero is white (WhiteIsZero); False for the other formats and damaged headers.

    Args:
        data: The encoded file.
    """
    return next(iter(_tiff_pages(data)), {}).get(_TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO


def count_pages(data: bytes) -> int:
    """How many images a TIFF holds, previews and masks aside; 0 for the other formats and damaged headers."""
    return sum(not fields.get(_TIFF_SUBFILE, 0) & _TIFF_PREVIEW_OR_MASK for fields in _tiff_pages(data))


def is_cut_short(data: bytes) -> bool:
    """Whether the end that PNG and JPEG files have is missing; a TIFF's end can't be told by itself."""
    if data.startswith(_PNG):
        return _PNG_END not in data[-1024:]
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[-1024:]
    return False


def _tiff_pages(data: bytes) -> list[dict[int, int]]:
    """The fields of each image of a TIFF or BigTIFF by tag, as far as they are there."""
    if (forms := _TIFF_FORMS.get(data[:4])) is None:
        return []
    order, offset, number = forms
    is_big = offset == "Q"
    step, value = (20, 12) if is_big else (12, 8)
    pages: list[dict[int, int]] = []
    try:
        (directory,) = struct.unpack_from(order + offset, data, 8 if is_big else 4)
        while directory and len(pages) < _MOST_PAGES:
            (count,) = struct.unpack_from(order + number, data, directory)
            first = directory + struct.calcsize(number)
            (directory,) = struct.unpack_from(order + offset, data, first + step * count)
            pages.append({})
            for place in range(first, first + step * count, step):
                tag, kind = struct.unpack_from(f"{order}HH", data, place)
                if tag in _TIFF_TAGS:
                    form = order + _TIFF_TYPES.get(kind, "I")
                    (pages[-1][tag],) = struct.unpack_from(form, data, place + value)
    except struct.error:
        return pages
    return pages
