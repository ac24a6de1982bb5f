"""One frame of a DICOM file as it is meant to be looked at; needs the extra ``dicom`` (pydicom)."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels import pixel_array
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DigitalIntraOralXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mammo_data.decoding.dicom_levels import displayed_levels, padding
from mammo_data.decoding.dicom_streams import require_inflatable, require_stream
from mammo_data.decoding.layout import LARGEST_IMAGE, require_room
from mammo_data.decoding.levels import counts_of, looked_up, own_white
from mammo_data.errors import MISREAD, DataError, NoFilmError

DECODERS = "python-gdcm, pylibjpeg, pylibjpeg-openjpeg, pyjpegls"
"""What decodes the compressions that archives send: JPEG, lossless JPEG, JPEG-LS, JPEG 2000, HTJ2K; pydicom has RLE."""

_GPL_DECODER = "pylibjpeg-libjpeg"
"""What decodes lossy JPEG of 12 bits; its licence is GPL, so users install it themselves."""

# Old devices keep an overlay in the bits above the pixels; the element with its place says so.
_OVERLAY_BITS = tuple((group << 16) + 0x0102 for group in range(0x6000, 0x6020, 2))
_UNPROCESSED = (
    DigitalXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalIntraOralXRayImageStorageForProcessing,
)

_PIXEL_DATA = 0x7FE00010
_KEYWORDS: tuple[str, ...] = (
    *("Modality", "SOPClassUID", "PresentationIntentType", "SamplesPerPixel", "PhotometricInterpretation"),
    *("NumberOfFrames", "PlanarConfiguration", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "WindowCenter", "WindowWidth"),
    *("RescaleIntercept", "RescaleSlope", "VOILUTFunction", "ModalityLUTSequence", "VOILUTSequence", "PixelData"),
)
_ELEMENTS = (*map(Tag, _KEYWORDS), *map(Tag, _OVERLAY_BITS))
_MOST_ELEMENTS = 100_000  # readings of a file's elements; an examination's header has some hundred
_LARGEST_ELEMENT = 2**20
_LARGEST_REST = 2**25  # all elements but the pixels


# Computed tomography, magnetic resonance, nuclear medicine, ultrasound, angiography and the like: never a mammogram.
_OTHER_MODALITIES = ("BMD", "CT", "ES", "GM", "IVUS", "MR", "NM", "OCT", "OP", "PT", "PX", "SM", "US", "XA", "XC")


def decode_dicom(data: bytes, name: str) -> tuple[NDArray[np.uint16], int, int]:
    """Decode a grey, single-frame DICOM image.

    The file's own rescale or modality table and then its window or VOI table are applied where it has them, and
    MONOCHROME1 is turned so that high is bright.

    Args:
        data: The file.
        name: What to call it in an error.

    Returns:
        Pixels, uint16 [height, width], the film's white, and white by what the file states.

    Raises:
        DataError: The file is no such image.
        NoFilmError: It is unprocessed.
    """
    try:
        require_inflatable(data, name)
        file = _read(data, name, _LARGEST_ELEMENT)
        height, width, stored_bits = int(file.Rows), int(file.Columns), int(file.BitsStored)
        frames, samples = int(file.get("NumberOfFrames") or 1), int(file.SamplesPerPixel)
        photometric = str(file.PhotometricInterpretation)
        if frames > 1:
            raise _unusable(name, f"{frames} frames", "Save the frame to be read as a file of its own.")
        if samples != 1 or not photometric.startswith("MONOCHROME"):
            raise NoFilmError(
                expected="a grey image", found=f"colours ({photometric}) in {name}", remedy="Leave the image out."
            )
        room = require_room(width, height, 1, int(file.BitsAllocated), name)
        if not 8 <= stored_bits <= int(file.BitsAllocated) <= 16:
            raise _unusable(name, f"{width} × {height} pixels of {stored_bits} bits")
        if (modality := str(file.get("Modality") or "")) in _OTHER_MODALITIES:
            raise NoFilmError(
                expected="a mammogram",
                found=f"an image of modality {modality} in {name}",
                remedy="Leave the image out.",
            )
        if _is_unprocessed(file):
            raise NoFilmError(
                expected="a film as it is looked at (FOR PRESENTATION)",
                found=f"the detector's unprocessed values (FOR PROCESSING) in {name}",
                remedy="Use the image that the same device made for presentation, or leave it out.",
            )
        if len(data) > LARGEST_IMAGE + _LARGEST_REST:
            raise _unusable(name, f"{len(data)} bytes")
        with room:
            return _decoded(_read(data, name), width, height, name)
    except (*MISREAD, BytesLengthException, InvalidDicomError) as error:
        raise _unusable(name, f"{type(error).__name__} {' '.join(str(error).split())}") from error


def _decoded(file: Dataset, width: int, height: int, name: str) -> tuple[NDArray[np.uint16], int, int]:
    syntax = file.file_meta.TransferSyntaxUID
    _require_stated_bits(file, name)
    stored = _pixels(file, syntax, width, height, name)
    # Each value that occurs is worked on once, however many pixels have it.
    codes: NDArray[Any] = stored.view(np.uint8 if stored.itemsize == 1 else np.uint16)
    counts = counts_of(codes)
    occurring = np.flatnonzero(counts)
    values = occurring.astype(codes.dtype).view(stored.dtype)
    levels, white, stated = displayed_levels(file, values)
    if str(file.PhotometricInterpretation) == "MONOCHROME1":
        levels = white - levels
    levels[padding(file, values)] = 0
    table: NDArray[np.uint16] = np.zeros(counts.size, np.uint16)
    table[occurring] = np.rint(levels)
    if stated:
        return looked_up(codes, table), white, white
    own: NDArray[np.int64] = np.zeros(2**16, np.int64)
    np.add.at(own, table[occurring], counts[occurring])
    return looked_up(codes, table), own_white(own, white), 2 ** int(file.BitsStored) - 1


class _Counted(io.BytesIO):
    """A file that ends a reading of very many elements: eight bytes suffice for an object of a kilobyte."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads > _MOST_ELEMENTS:
            raise ValueError("too many elements for an image")
        return super().read(size)


def _read(data: bytes, name: str, largest: int | None = None) -> Dataset:
    """The elements that a picture needs; values of more than ``largest`` bytes are left out, as None."""
    file = pydicom.dcmread(_Counted(data), force=True, specific_tags=list(_ELEMENTS), defer_size=largest)
    if "PixelData" not in file:
        raise _unusable(name, f"data without an image ({file.get('Modality') or 'no modality'})")
    for element in file.values():
        if isinstance(element, RawDataElement) and element.tag != _PIXEL_DATA and element.length > _LARGEST_ELEMENT:
            raise _unusable(name, f"an element {element.tag} of {element.length} bytes")
    if "TransferSyntaxUID" not in file.file_meta:
        # Without preamble and header nothing but the elements themselves says how they are written.
        implicit = file.original_encoding[0]
        file.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return file


def _is_unprocessed(file: Dataset) -> bool:
    """By the file's own word, else by its class: dark and bright are exchanged there, and contrast is missing."""
    intent = str(file.get("PresentationIntentType") or "").upper()
    return "PROCESSING" in intent or (not intent and file.get("SOPClassUID") in _UNPROCESSED)


def _require_stated_bits(file: Dataset, name: str) -> None:
    """Refuse values that need other bits than the file states: cut to these, bright tissue would be black."""
    stored_bits, allocated = int(file.BitsStored), int(file.BitsAllocated)
    high_bit = int(file.get("HighBit", stored_bits - 1))
    if high_bit != stored_bits - 1:
        raise _unusable(name, f"{stored_bits} bits of which the highest is bit {high_bit}")
    # Compressed values have no further bits, and above signed ones stand their signs.
    if file.file_meta.TransferSyntaxUID.is_encapsulated or file.PixelRepresentation or allocated not in (8, 16):
        return
    big = file.original_encoding[1] is False
    values = np.frombuffer(file.PixelData, f"{'>' if big else '<'}u{allocated // 8}")
    if not values.size or not int(values.max()) >> stored_bits:
        return
    if not any(place in file for place in _OVERLAY_BITS):
        raise _unusable(name, f"values up to {int(values.max())} where {stored_bits} bits are stated")


def _pixels(file: Dataset, syntax: UID, width: int, height: int, name: str) -> NDArray[np.integer]:
    """The stored values, [height, width]; compressed ones that no decoder here makes anything of are refused."""
    try:
        if syntax.is_encapsulated:
            require_stream(file.PixelData, width, height, name)
        return pixel_array(file, view_only=not syntax.is_encapsulated)
    except (*MISREAD, BytesLengthException, ImportError) as error:
        if not syntax.is_encapsulated:
            raise
        raise DataError(
            expected=f"pixels that a decoder installed here reads, of {syntax.name} ({syntax})",
            found=f"none or damaged ones in {name}",
            remedy=f"Install the decoders with: pip install 'mammo-search[dicom]' ({DECODERS}), and for lossy JPEG of "
            f"12 bits {_GPL_DECODER}; where they are, replace the file by a fresh or an uncompressed copy.",
        ) from error


def _unusable(name: str, found: str, remedy: str = "Replace the file, or save the film as a 16-bit PNG.") -> DataError:
    return DataError(
        expected="a grey DICOM image of one frame, 8 to 16 bits", found=f"{found[:160]} in {name}", remedy=remedy
    )
