"""The decoder: encoded bytes to grey pixels, strict enough that a damaged file can't pass for another image.

More than 8 bits become 8 by the range that the film itself uses (`mammo_data.decoding.levels`), within the one that a
PGM file's maxval and a DICOM file's bits state; a DICOM file's tables and windows come first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import LARGEST_SIDE
from mammo_data.decoding.headers import count_pages, encoded_size, is_cut_short, is_dicom, is_white_zero, kind_in_words
from mammo_data.decoding.levels import own_white, whole_bits
from mammo_data.errors import DataError, NoFilmError

_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAGICS = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", **dict.fromkeys(_TIFF_MAGICS, "TIFF")}
# The byte of a PNG's header that says what a pixel is (ISO/IEC 15948): 0 and 4 are grey.
_PNG_COLOUR_TYPE, _PNG_GREY = 25, (b"\0", b"\x04")
_PNG_START, _PNG_ALPHA = b"\x89PNG", 4
_WIDEST = 2**16 - 1
_REPLACE = "Replace the file by a fresh copy."
_SAVE = "Save the film as a PNG or TIFF of 8 or 16 bits."
_MOST_SPREAD = 0.03  # of white, between the largest and the smallest channel of a pixel, on average

# Netpbm's pgm(5): magic, width, height, maxval, separated by white space or comments, then ONE white-space byte.
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])"
_HEADER = re.compile(rb"P[25]" + _GAP + rb"+([0-9]{1,9})" + _GAP + rb"+([0-9]{1,9})" + _GAP + rb"+([0-9]{1,9})\s")
_LONGEST_HEADER = 4_096
_ROWS, _SMOOTHER = 64, 4


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

    A P5 file is read here, not by OpenCV, because OpenCV fills a truncated one with zeros in some versions.

    Args:
        data: The encoded file: PGM (P5 or P2), PNG, JPEG, TIFF or, with the extra ``dicom``, DICOM.
        name: What to call the image in an error.

    Raises:
        DataError: The bytes are no complete image of a size that a mammogram can have.
        NoFilmError: They are one in colours, or an unprocessed one.
    """
    if data[:2] in (b"P2", b"P5"):
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
        return _scaled(*decode_dicom(data, name))
    return DecodedImage(_decode_with_opencv(data, name))


def is_truncated(data: bytes) -> bool:
    """Whether undecodable bytes are the beginning of a good image, as a broken download leaves them."""
    if (header := _HEADER.match(data[:_LONGEST_HEADER])) is None:
        return is_cut_short(data)
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


def to_eight_bits(pixels: NDArray[np.uint16], largest: int) -> NDArray[np.uint8]:
    """Scale grey levels of 0 to ``largest`` to 0 to 255, rounded; what is brighter is white.

    Args:
        pixels: uint16 [height, width].
        largest: White; 255 or more.
    """
    return np.rint(np.minimum(pixels, largest).astype(np.float32) * (255.0 / largest)).astype(np.uint8)


def _scaled(pixels: NDArray[np.uint16], white: int, stated: int) -> DecodedImage:
    return DecodedImage(to_eight_bits(pixels, white), stated.bit_length() - white.bit_length())


def _decode_pgm(data: bytes, name: str) -> DecodedImage:
    header = _HEADER.match(data[:_LONGEST_HEADER])
    if header is None:
        raise _damaged(name, "a PGM header with width, height and maxval", repr(data[:20]))
    width, height, maxval = map(int, header.groups())
    _require_size(name, width, height)
    if not 0 < maxval < 65_536:
        raise _damaged(name, "a maxval of 1 to 65535", f"{maxval}")
    sample = np.dtype(np.uint8) if maxval < 256 else np.dtype(">u2")
    if data.startswith(b"P2"):
        pixels: NDArray[Any] = _plain_pixels(data[header.end() :], width * height, name).reshape(height, width)
    else:
        expected, found = width * height * sample.itemsize, len(data) - header.end()
        rest = data[header.end() + expected :]
        if found < expected:
            raise _damaged(name, f"{expected} bytes of pixels for {width} × {height}", f"{found}")
        # An editor's line end does no harm. More is no picture's business: a transfer in text mode adds bytes within.
        if rest not in (b"", b"\n", b"\r\n"):
            what = "another image" if rest[:1] == b"P" else f"{len(rest)} more bytes"
            remedy = "Save the film as a file of its own; fetch it again if a transfer in text mode added the bytes."
            raise _unread(name, f"{expected} bytes of pixels for {width} × {height}", f"{what} after them", remedy)
        pixels = np.frombuffer(data, sample, width * height, header.end()).reshape(height, width)
    if maxval == 255 and pixels.dtype == np.uint8:
        return DecodedImage(pixels.view(np.uint8))
    if int(pixels.max()) > maxval:
        raise _damaged(name, f"pixels of at most {maxval}, its maxval", f"{int(pixels.max())}")
    levels: NDArray[np.uint16] = pixels.astype(np.uint16)
    if data.startswith(b"P5") and _is_swapped(levels):
        raise _unread(name, "16-bit pixels with the high byte first", "the low byte first", f"Swap the bytes. {_SAVE}")
    return _scaled(levels, maxval if maxval < 255 else own_white(levels, maxval), maxval)


def _is_swapped(levels: NDArray[np.uint16]) -> bool:
    """Whether a picture of more than 8 bits is far smoother with its bytes exchanged."""
    some = levels[:: max(1, len(levels) // _ROWS)].astype(np.int32)
    there, swapped = (float(np.abs(np.diff(each, axis=1)).sum()) for each in (some, (some & 255) << 8 | some >> 8))
    return int(some.max()) > 255 and swapped * _SMOOTHER < there


def _plain_pixels(text: bytes, count: int, name: str) -> NDArray[np.uint16]:
    """The numbers of a P2 file, uint16 [count]."""
    numbers = re.sub(rb"#[^\r\n]*", b"", text).split()
    if len(numbers) != count:
        raise _damaged(name, f"{count} numbers, one a pixel", f"{len(numbers)}")
    odd = next((number for number in numbers if not number.isdigit() or len(number) > 5), None)
    if odd is not None or max(map(int, numbers)) > _WIDEST:
        raise _damaged(name, f"numbers of 0 to {_WIDEST}", repr((odd or b"larger ones")[:20].decode("latin-1")))
    return np.array(numbers, dtype="S5").astype(np.uint16)


def _decode_with_opencv(data: bytes, name: str) -> NDArray[np.uint8]:
    kind = next((kind for magic, kind in _MAGICS.items() if data.startswith(magic)), None)
    size = encoded_size(data)
    other = kind_in_words(data)
    if kind is None or (size is None and other):
        found = other or f"{len(data)} bytes of something else"
        raise _unread(name, "a PGM, PNG, JPEG, TIFF or DICOM image", found, _SAVE if data.strip(b"\0") else _REPLACE)
    if size is None:
        raise _damaged(name, f"a {kind} image with its size", f"{len(data)} damaged bytes")
    _require_size(name, *size)
    if is_cut_short(data):
        raise _damaged(name, f"a complete {kind} file", f"{len(data)} bytes without its end")
    if (pages := count_pages(data)) > 1:
        raise _unread(name, "one image in a file", f"a TIFF of {pages} pages", "Save the film's page as its own file.")
    pixels = _by_opencv(data, cv2.IMREAD_GRAYSCALE)
    if pixels is None or pixels.shape != (size[1], size[0]):
        found = other or f"{len(data)} bytes that are damaged or of a rare kind of {kind}"
        raise _unread(name, f"a {kind} image that OpenCV decodes", found, f"{_REPLACE} {_SAVE}")
    if _is_coloured(data):
        raise NoFilmError(expected="a grey image", found=f"colours in {name}", remedy="Leave the image out.")
    if data[: len(_PNG_START)] == _PNG_START and (data[_PNG_COLOUR_TYPE] & _PNG_ALPHA or b"tRNS" in data[:4096]):
        # What is transparent is no film.
        whole = _by_opencv(data, cv2.IMREAD_UNCHANGED)
        if whole is not None and whole.ndim == 3 and whole.shape[2] in (2, 4) and whole[:, :, -1].any():
            pixels = np.where(whole[:, :, -1] > 0, pixels, 0).astype(pixels.dtype)
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if pixels.dtype != np.uint16:
        raise _unread(name, "pixels of 8 or 16 bits without sign", f"{pixels.dtype}", _SAVE)
    levels = pixels.astype(np.uint16, copy=False)
    if is_white_zero(data):
        # OpenCV turns such TIFFs of 8 bits, but none of more.
        levels = np.uint16(whole_bits(int(levels.max()))) - levels
    return to_eight_bits(levels, own_white(levels, _WIDEST))


def _by_opencv(data: bytes, colours: int) -> NDArray[Any] | None:
    """Pixels at the file's own depth and as they are stored, not as a camera was held; None where OpenCV refuses."""
    try:
        flags = colours | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
        return cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(f"{len(data)} bytes of an image") from error
        return None


def _is_coloured(data: bytes) -> bool:
    """Whether the channels differ: grey films are often stored with three equal ones, photographs are no films."""
    if data.startswith(b"\x89PNG") and data[_PNG_COLOUR_TYPE : _PNG_COLOUR_TYPE + 1] in _PNG_GREY:
        return False
    pixels = _by_opencv(data, cv2.IMREAD_ANYCOLOR)
    if pixels is None or pixels.ndim == 2:
        return False
    spread = float(np.ptp(pixels, axis=2).mean())
    # JPEG's own rounding makes grey a little coloured.
    return spread > _MOST_SPREAD * float(np.iinfo(pixels.dtype).max)


def _require_size(name: str, width: int, height: int) -> None:
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise _damaged(name, f"sides of 1 to {LARGEST_SIDE} pixels", f"{width} × {height}")


def _damaged(name: str, expected: str, found: str) -> DataError:
    return _unread(name, expected, found, _REPLACE)


def _unread(name: str, expected: str, found: str, remedy: str) -> DataError:
    return DataError(expected=expected, found=f"{found} in {name}", remedy=remedy)
