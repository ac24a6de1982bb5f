"""Encoded image bytes to grey pixels, strict enough that a damaged file can't pass for another image."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from mammo_data.errors import DataError

LARGEST_SIDE = 16_384
"""Pixels; a full-field mammogram at 50 µm has about 6,000. Larger headers are refused before any allocation."""

# Netpbm's pgm(5): magic, width, height, maxval, separated by white space or comments, then ONE white-space byte.
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])"
_HEADER = re.compile(rb"P5" + _GAP + rb"+(\d{1,9})" + _GAP + rb"+(\d{1,9})" + _GAP + rb"+(\d{1,9})\s")
_LONGEST_HEADER = 4_096


def decode_grey(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode one image to 8-bit grey.

    A P5 file is read here, not by OpenCV, because OpenCV fills a truncated one with zeros in some versions.

    Args:
        data: The encoded file.
        name: What to call the image in an error.

    Returns:
        uint8 [height, width], read-only for 8-bit P5 files (a view of ``data``).

    Raises:
        DataError: The bytes are no complete image of a size that a mammogram can have.
    """
    if data[:2] == b"P5":
        return _decode_pgm(data, name)
    return _decode_with_opencv(data, name)


def _decode_pgm(data: bytes, name: str) -> NDArray[np.uint8]:
    header = _HEADER.match(data[:_LONGEST_HEADER])
    if header is None:
        raise _damaged(name, "a P5 header with width, height and maxval", repr(data[:20]))
    width, height, maxval = (int(group) for group in header.groups())
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE and 0 < maxval < 65_536):
        raise _damaged(
            name,
            f"sides of 1 to {LARGEST_SIDE} pixels and a maxval of 1 to 65535",
            f"{width} × {height}, maxval {maxval}",
        )
    sample = np.dtype(np.uint8) if maxval < 256 else np.dtype(">u2")
    expected, found = width * height * sample.itemsize, len(data) - header.end()
    if found != expected:
        raise _damaged(name, f"{expected} bytes of pixels for {width} × {height}", f"{found}")
    pixels = np.frombuffer(data, dtype=sample, offset=header.end()).reshape(height, width)
    if maxval == 255:
        return pixels.view(np.uint8)
    if int(pixels.max()) > maxval:
        raise _damaged(name, f"pixels of at most {maxval}, its maxval", f"{int(pixels.max())}")
    return np.rint(pixels.astype(np.float32) * (255.0 / maxval)).astype(np.uint8)


def _decode_with_opencv(data: bytes, name: str) -> NDArray[np.uint8]:
    import cv2

    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise _damaged(name, "an image that can be decoded", f"{len(data)} bytes that OpenCV refuses") from error
    if pixels is None:
        raise _damaged(name, "a PGM, PNG, JPEG or TIFF image", f"{len(data)} bytes of something else or damaged")
    return np.ascontiguousarray(pixels, dtype=np.uint8)


def _damaged(name: str, expected: str, found: str) -> DataError:
    return DataError(expected=expected, found=f"{found} in {name}", remedy="Replace the file by a fresh copy.")
