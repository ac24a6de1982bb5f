"""The decoder: encoded bytes to grey pixels, strict enough that a damaged file can't pass for another image.

More than 8 bits become 8 by the range that the film itself uses (`mammo_data.decoding.levels`), within the one that a
PGM file's maxval and a DICOM file's bits state; a DICOM file's tables and windows come first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo_data.decoding.headers import is_blank, is_cut_short, is_dicom, kind_in_words
from mammo_data.decoding.layout import Layout, count_pages, is_white_zero, layout, require_room
from mammo_data.decoding.levels import counts_of, looked_up, own_white, strips, whole_bits
from mammo_data.decoding.pgm import MAGICS, is_cut_pgm, read_pgm
from mammo_data.errors import DataError, NoFilmError

_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAGICS = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", **dict.fromkeys(_TIFF_MAGICS, "TIFF")}
_WIDEST = 2**16 - 1
_REPLACE = "Replace the file by a fresh copy."
_SAVE = "Save the film as a PNG or TIFF of 8 or 16 bits."
_MOST_SPREAD = 0.03  # of white, between the largest and the smallest channel of a pixel, on average
_COLOUR_SAMPLE = 2**20  # pixels


@dataclass(frozen=True)
class DecodedImage:
    """An image in 8-bit grey.

    Attributes:
        grey: uint8 [height, width], read-only for 8-bit P5 files (a view of the file's bytes).
        spare_bits: How many of the bits that a PGM or DICOM file states the film does not use; 0 where none are stated.
    """

    grey: NDArray[np.uint8]
    spare_bits: int = 0


def decode_grey(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode one image to 8-bit grey; see `decode_image`."""
    return decode_image(data, name).grey


def decode_image(data: bytes, name: str) -> DecodedImage:
    """Decode one image to 8-bit grey.

    What it would take is known from the header: more than a mammogram is refused before anything is decoded.

    Args:
        data: The encoded file: PGM (P5 or P2), PNG, JPEG, TIFF or, with the extra ``dicom``, DICOM.
        name: What to call the image in an error.

    Raises:
        DataError: The bytes are no complete image of a size that a mammogram can have.
        NoFilmError: They are one in colours, or an unprocessed one.
    """
    if data.startswith(MAGICS):
        return _decode_pgm(data, name)
    if is_dicom(data):
        try:
            from mammo_data.decoding.dicom import decode_dicom
        except ImportError as error:
            raise DataError(
                expected="pydicom, which reads DICOM files",
                found=f"no such module for {name}",
                remedy="Install it with: pip install 'mammo-search[dicom]'.",
            ) from error
        pixels, white, stated_white = decode_dicom(data, name)
        return DecodedImage(to_eight_bits(pixels, white), stated_white.bit_length() - white.bit_length())
    return DecodedImage(_decode_with_opencv(data, name))


def is_truncated(data: bytes) -> bool:
    """Whether undecodable bytes are the beginning of a good image, as a broken download leaves them."""
    cut = is_cut_pgm(data)
    return is_cut_short(data) if cut is None else cut


def to_eight_bits(pixels: NDArray[np.unsignedinteger], largest: int) -> NDArray[np.uint8]:
    """Scale grey levels of 0 to ``largest`` to 0 to 255, rounded; what is brighter is white.

    Args:
        pixels: Unsigned values of 8 or 16 bits, [height, width].
        largest: White; 255 or more for 16 bits.
    """
    levels = np.minimum(np.arange(_WIDEST + 1), largest).astype(np.float32)
    return looked_up(pixels, np.rint(levels * (255.0 / largest)).astype(np.uint8))


def _decode_pgm(data: bytes, name: str) -> DecodedImage:
    pixels, maxval = read_pgm(data, name)
    if maxval == 255:
        return DecodedImage(pixels.astype(np.uint8, copy=False))
    white = maxval if maxval < 255 else own_white(counts_of(pixels), maxval)
    return DecodedImage(to_eight_bits(pixels, white), maxval.bit_length() - white.bit_length())


def _decode_with_opencv(data: bytes, name: str) -> NDArray[np.uint8]:
    kind = next((kind for magic, kind in _MAGICS.items() if data.startswith(magic)), None)
    stated = layout(data)
    other = kind_in_words(data)
    if kind is None or (stated is None and other):
        found = other or f"{len(data)} bytes of something else"
        raise _unread(name, "a PGM, PNG, JPEG, TIFF or DICOM image", found, _REPLACE if is_blank(data) else _SAVE)
    if stated is None:
        raise _unread(name, f"a {kind} image with its size", f"{len(data)} damaged bytes", _REPLACE)
    room = require_room(stated.width, stated.height, stated.channels, stated.bits, name)
    if is_cut_short(data):
        raise _unread(name, f"a complete {kind} file", f"{len(data)} bytes without its end", _REPLACE)
    if (pages := count_pages(data)) > 1:
        raise _unread(name, "one image in a file", f"a TIFF of {pages} pages", "Save the film's page as its own file.")
    if stated.fault:
        raise _unread(name, f"a plain {kind} image", stated.fault, _SAVE)
    with room:
        pixels = _by_opencv(data, stated)
        if pixels is None or pixels.shape[:2] != (stated.height, stated.width):
            found = other or f"{len(data)} bytes that are damaged or of a rare kind of {kind}"
            raise _unread(name, f"a {kind} image that OpenCV decodes", found, f"{_REPLACE} {_SAVE}")
        if pixels.dtype not in (np.uint8, np.uint16):
            raise _unread(name, "pixels of 8 or 16 bits without sign", f"{pixels.dtype}", _SAVE)
        if pixels.ndim == 3:
            if _is_coloured(pixels):
                raise NoFilmError(expected="a grey image", found=f"colours in {name}", remedy="Leave the image out.")
            pixels = _grey(pixels)
        if pixels.dtype == np.uint8:
            return np.ascontiguousarray(pixels)
        return _own_range(pixels, turned=is_white_zero(data))


def _own_range(pixels: NDArray[np.uint16], *, turned: bool) -> NDArray[np.uint8]:
    """16 bits to 8 by the film's own range, and white for black where the file says so."""
    counts = counts_of(pixels)
    if not turned:
        return to_eight_bits(pixels, own_white(counts, _WIDEST))
    # OpenCV turns such TIFFs of 8 bits, but none of more.
    largest = whole_bits(int(np.flatnonzero(counts)[-1]))
    white = own_white(counts[: largest + 1][::-1], _WIDEST)
    levels: NDArray[np.uint16] = np.zeros(_WIDEST + 1, np.uint16)
    levels[: largest + 1] = np.arange(largest, -1, -1)
    return looked_up(pixels, to_eight_bits(levels, white))


def _by_opencv(data: bytes, stated: Layout) -> NDArray[Any] | None:
    """Pixels at the file's own depth and as they are stored, not as a camera was held; None where OpenCV refuses.

    Grey [height, width], or in colours [height, width, 3 or 4]; decoded once, whatever is asked of them then.
    """
    if stated.is_transparent:
        flags = cv2.IMREAD_UNCHANGED
    else:
        colours = cv2.IMREAD_GRAYSCALE if stated.channels < 3 else cv2.IMREAD_COLOR
        flags = colours | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        return cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(f"{len(data)} bytes of an image") from error
        return None


def _is_coloured(pixels: NDArray[Any]) -> bool:
    """Whether the channels differ: grey films are often stored with three equal ones, photographs are no films."""
    # A million pixels in a grid show it as well as all.
    step = max(1, math.isqrt(pixels[:, :, 0].size // _COLOUR_SAMPLE))
    sample = pixels[::step, ::step, :3]
    if pixels.shape[2] == 4 and pixels[:, :, 3].any():
        # What is transparent is no film.
        sample = np.where(pixels[::step, ::step, 3:] > 0, sample, 0)
    spread = float(np.ptp(sample, axis=2).mean())
    # JPEG's own rounding makes grey a little coloured.
    return spread > _MOST_SPREAD * float(np.iinfo(pixels.dtype).max)


def _grey(pixels: NDArray[Any]) -> NDArray[Any]:
    """Channels to one, [height, width]; what is transparent is black, unless all is."""
    grey = np.empty(pixels.shape[:2], pixels.dtype)
    is_shown = pixels.shape[2] == 4 and pixels[:, :, 3].any()
    for strip in strips(pixels):
        grey[strip] = cv2.cvtColor(np.ascontiguousarray(pixels[strip, :, :3]), cv2.COLOR_BGR2GRAY)
        if is_shown:
            grey[strip][pixels[strip, :, 3] == 0] = 0
    return grey


def _unread(name: str, expected: str, found: str, remedy: str) -> DataError:
    return DataError(expected=expected, found=f"{found} in {name}", remedy=remedy)
