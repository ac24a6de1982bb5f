"""One frame of a DICOM file as it is meant to be looked at; needs the extra ``dicom`` (pydicom).

Grey levels come in the standard's order: modality step, then VOI step, each with its own output range. The modality
step is a table or a straight line (rescale), the VOI step a table or a window. Tables are applied here, because pydicom
(3.0) indexes one of 8-bit entries by 8 bits, whatever the pixels have, and has no dtype for a modality table of another
depth than 8 or 16.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels import apply_windowing
from pydicom.uid import (
    UID,
    DigitalIntraOralXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mammo_data.cases import LARGEST_SIDE
from mammo_data.decoding.levels import own_range, own_white
from mammo_data.errors import MISREAD, DataError, NoFilmError

DECODERS = "pylibjpeg, pylibjpeg-libjpeg, pylibjpeg-openjpeg, pyjpegls"
"""What decodes the compressions that archives send: JPEG, lossless JPEG, JPEG-LS, JPEG 2000, HTJ2K; pydicom has RLE."""

# Old devices keep an overlay in the bits above the pixels; the element with its place says so.
_OVERLAYS, _OVERLAY_BIT = range(0x6000, 0x6020, 2), 0x0102
_UNPROCESSED = (
    DigitalXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalIntraOralXRayImageStorageForProcessing,
)


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
        file = pydicom.dcmread(io.BytesIO(data), force=True)
        if "PixelData" not in file:
            raise _unusable(name, f"data without an image ({file.get('Modality') or 'no modality'})")
        if "TransferSyntaxUID" not in file.file_meta:
            # Without preamble and header nothing but the elements themselves says how they are written.
            implicit = file.original_encoding[0]
            file.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        syntax = file.file_meta.TransferSyntaxUID
        height, width, stored_bits = int(file.Rows), int(file.Columns), int(file.BitsStored)
        frames, samples = int(file.get("NumberOfFrames") or 1), int(file.SamplesPerPixel)
        photometric = str(file.PhotometricInterpretation)
        sides_fit = 0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE
        if frames > 1:
            raise _unusable(name, f"{frames} frames", "Save the frame to be read as a file of its own.")
        if samples != 1 or not photometric.startswith("MONOCHROME"):
            raise NoFilmError(
                expected="a grey image", found=f"colours ({photometric}) in {name}", remedy="Leave the image out."
            )
        if not sides_fit or not 8 <= stored_bits <= 16:
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
        if syntax.is_encapsulated:
            _require_pixels(file, syntax, name)
        _require_stated_bits(file, stored_bits, name)
        levels, white, stated = displayed_levels(file)
        if photometric == "MONOCHROME1":
            levels = white - levels
        levels[padding(file)] = 0
        pixels = np.rint(levels).astype(np.uint16)
    except (*MISREAD, BytesLengthException, InvalidDicomError) as error:
        raise _unusable(name, f"{type(error).__name__} {' '.join(str(error).split())}") from error
    return (pixels, white, white) if stated else (pixels, own_white(pixels, white), 2**stored_bits - 1)


def _is_unprocessed(file: Dataset) -> bool:
    """By the file's own word, else by its class: dark and bright are exchanged there, and contrast is missing."""
    intent = str(file.get("PresentationIntentType") or "").upper()
    return "PROCESSING" in intent or (not intent and file.get("SOPClassUID") in _UNPROCESSED)


def _require_stated_bits(file: Dataset, stored_bits: int, name: str) -> None:
    """Refuse values that need other bits than the file states: cut to these, bright tissue would be black."""
    high_bit, allocated = int(file.get("HighBit", stored_bits - 1)), int(file.BitsAllocated)
    if high_bit != stored_bits - 1:
        raise _unusable(name, f"{stored_bits} bits of which the highest is bit {high_bit}")
    # Compressed values have no further bits, and above signed ones stand their signs.
    if file.file_meta.TransferSyntaxUID.is_encapsulated or file.PixelRepresentation or allocated not in (8, 16):
        return
    big = file.original_encoding[1] is False
    values = np.frombuffer(file.PixelData, f"{'>' if big else '<'}u{allocated // 8}")
    if not values.size or not int(values.max()) >> stored_bits:
        return
    if not any((group << 16) + _OVERLAY_BIT in file for group in _OVERLAYS):
        raise _unusable(name, f"values up to {int(values.max())} where {stored_bits} bits are stated")


def _require_pixels(file: Dataset, syntax: UID, name: str) -> None:
    """Refuse compressed pixels that no decoder here makes anything of."""
    try:
        _ = file.pixel_array
    except (*MISREAD, BytesLengthException, ImportError) as error:
        raise DataError(
            expected=f"pixels that a decoder installed here reads, of {syntax.name} ({syntax})",
            found=f"none or damaged ones in {name}",
            remedy=f"Install the decoders with: pip install 'mammo-search[dicom]' ({DECODERS}); where they are, "
            "replace the file by a fresh or an uncompressed copy.",
        ) from error


def _unusable(name: str, found: str, remedy: str = "Replace the file, or save the film as a 16-bit PNG.") -> DataError:
    return DataError(
        expected="a grey DICOM image of one frame, 8 to 16 bits", found=f"{found[:160]} in {name}", remedy=remedy
    )


def displayed_levels(file: Dataset) -> tuple[NDArray[np.float64], int, bool]:
    """What the file's own tables or window, or else the film's own range make of its stored values.

    MONOCHROME1 is not turned; a window as wide as the stated bits says no more than these.

    Args:
        file: A grey, single-frame image as `pydicom.dcmread` returns it; its rescale is dropped where a table replaces
            it.

    Returns:
        Levels, float64 [height, width], 0 to white, and white's value: 2**bits - 1 with the bits of the last table's
        entries, the stored bits with a window alone, or else the bits that the film uses; and whether a table or a
        window says what is white.

    Raises:
        ValueError: A table's depth is not 8 to 16 bits, or a level is no number.
        ArithmeticError, AttributeError, LookupError, TypeError: The file's elements contradict each other.
    """
    stored = int(file.BitsStored)
    levels, black, white, bits, film = _after_modality(file, stored)
    table = _table(file, "VOILUTSequence")
    stated = True
    if table is not None:
        entries, first, bits = table
        if first >= 2**15 and min(black, white) < 0:
            # Without explicit types the first value mapped is read as unsigned, though the rescaled range is signed.
            first -= 2**16
        if bits == 16 and stored < 16 and int(entries.max()) < 2**stored:
            # Some devices state the width in which the entries are stored; by that these films would be black.
            bits = stored
        levels = _looked_up(levels, entries, first)
        black, white = 0.0, 2.0**bits - 1
    elif _has_window(file, min(black, white), max(black, white)):
        # Its output range is the modality step's, turned where the slope is negative; so are these two ends.
        levels = apply_windowing(levels, file)
    else:
        stated = file.get("ModalityLUTSequence") is not None
        black, white, bits = film
    largest = 2**bits - 1
    # One factor, so that a range of the stored bits is kept to the last digit.
    grey = np.clip((levels - black) * (largest / (white - black)), 0, largest)
    if not np.isfinite(grey).all():
        raise ValueError("grey levels that are no numbers")
    return grey, largest, stated


def padding(file: Dataset) -> NDArray[np.bool_]:
    """Where the file says that there is no film, bool [height, width]: its padding value, or a range of them."""
    pixels = file.pixel_array
    ends = [file.get(keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None:
        return np.zeros(pixels.shape, bool)
    values = [int(value) for value in ends if value is not None]
    if int(file.get("PixelRepresentation") or 0) == 1:
        # In files without explicit types both are read as unsigned.
        values = [(value + 2**15) % 2**16 - 2**15 for value in values]
    return (pixels >= min(values)) & (pixels <= max(values))


def _has_window(file: Dataset, black: float, white: float) -> bool:
    """Whether there is a window that is narrower than the range of the stated bits."""
    centre, width = file.get("WindowCenter"), file.get("WindowWidth")
    if centre is None or width is None:
        return False
    # Several windows may be given; the first is the usual one.
    middle, half = (float(np.atleast_1d(value)[0]) for value in (centre, width))
    return not (middle - half / 2 <= black and middle + half / 2 >= white)


def _after_modality(file: Dataset, stored: int) -> tuple[NDArray[Any], float, float, int, tuple[float, float, int]]:
    """Levels, what the least and largest stored value become, the bits of that range, and the film's own range."""
    pixels = file.pixel_array
    table = _table(file, "ModalityLUTSequence")
    if table is not None:
        entries, first, bits = table
        for keyword in ("RescaleSlope", "RescaleIntercept"):
            # A table excludes a rescale; pydicom's window would stretch its output range by it all the same.
            if keyword in file:
                delattr(file, keyword)
        return _looked_up(pixels, entries, first), 0.0, 2.0**bits - 1, bits, (0.0, 2.0**bits - 1, bits)
    signed = int(file.get("PixelRepresentation") or 0) == 1
    least = -(2.0 ** (stored - 1)) if signed else 0.0
    largest = least + 2.0**stored - 1
    own = own_range(pixels[~padding(file)], stored, signed=signed)
    own_bits = (own[1] - own[0]).bit_length()
    slope, intercept = file.get("RescaleSlope"), file.get("RescaleIntercept")
    if slope is None or intercept is None:
        return pixels, least, largest, stored, (*own, own_bits)
    slope, intercept = float(slope), float(intercept)
    low, high = sorted(end * slope + intercept for end in own)
    return (
        pixels * slope + intercept,
        least * slope + intercept,
        largest * slope + intercept,
        stored,
        (low, high, own_bits),
    )


def _table(file: Dataset, keyword: str) -> tuple[NDArray[np.uint16], int, int] | None:
    """Entries, the first value mapped, and the entries' bits; None where the file has no complete table."""
    items = file.get(keyword)
    if not items or items[0].get("LUTDescriptor") is None or items[0].get("LUTData") is None:
        return None
    count, first, bits = (int(value) for value in items[0].LUTDescriptor)
    if not 8 <= bits <= 16:
        raise ValueError(f"a table of {bits} bits")
    # 65,536 entries are stated as 0.
    count = count % 2**16 or 2**16
    data = items[0].LUTData
    if isinstance(data, bytes):
        little = file.original_encoding[1] is not False
        entries = np.frombuffer(data, "<u2" if little else ">u2").astype(np.uint16)
    else:
        entries = np.atleast_1d(np.asarray(data, dtype=np.uint16))
    if bits == 8 and entries.size < count:
        # Two entries a word, the low byte first; others give each a word.
        entries = entries.astype("<u2").view(np.uint8).astype(np.uint16)
    if entries.size < count:
        raise ValueError(f"a table of {entries.size} entries instead of {count}")
    return entries[:count], first, bits


def _looked_up(levels: NDArray[Any], entries: NDArray[np.uint16], first: int) -> NDArray[np.uint16]:
    """Values outside of the table get its first or its last entry."""
    index = np.clip(np.rint(levels.astype(np.float64) - first), 0, entries.size - 1)
    return entries[index.astype(np.intp)]
