"""What the first and the last bytes of a file say: its kind, and whether it ends where it should."""

from __future__ import annotations

import re

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"

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


def is_blank(data: bytes) -> bool:
    """Whether a file has zero bytes alone, or none."""
    return data.count(0) == len(data)


def kind_in_words(data: bytes) -> str:
    """What a file is that no decoder here reads, by its first bytes: "a GIF image"."""
    if is_blank(data):
        return f"{len(data)} zero bytes" if data else "an empty file"
    if data[344:348] in (b"n+1\0", b"ni1\0"):
        return "a NIfTI image"
    if data.startswith(b"\xff\xd8") and _RARE_JPEG.search(data[:65_536]):
        return "a lossless or otherwise rare kind of JPEG"
    return next((kind for magic, kind in _OTHER_KINDS if data.startswith(magic)), "")


def is_cut_short(data: bytes) -> bool:
    """Whether the end that PNG and JPEG files have is missing; a TIFF's end can't be told by itself."""
    if data.startswith(_PNG):
        return _PNG_END not in data[-1024:]
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[-1024:]
    return False
