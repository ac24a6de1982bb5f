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
    DigitalIntraOralXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForProcessing,
)

from mammo_data.cases import LARGEST_SIDE
from mammo_data.errors import MISREAD, DataError, NoFilmError

_UNPROCESSED = (
    DigitalXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalIntraOralXRayImageStorageForProcessing,
)


def decode_dicom(data: bytes, name: str) -> tuple[NDArray[np.uint16], int]:
    """Decode a grey, single-frame DICOM image.

    The file's own rescale or modality table and then its window or VOI table are applied where it has them, and
    MONOCHROME1 is turned so that high is bright.

    Args:
        data: The file.
        name: What to call it in an error.

    Returns:
        Pixels, uint16 [height, width], and white's value.

    Raises:
        DataError: The file is no such image.
        NoFilmError: It is unprocessed.
    """
    try:
        file = pydicom.dcmread(io.BytesIO(data))
        height, width, stored = int(file.Rows), int(file.Columns), int(file.BitsStored)
        frames, samples = int(file.get("NumberOfFrames") or 1), int(file.SamplesPerPixel)
        photometric = str(file.PhotometricInterpretation)
        sides_fit = 0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE
        if not sides_fit or frames != 1 or samples != 1 or not 8 <= stored <= 16:
            raise _unusable(name, f"{width} × {height}, {frames} frames, {samples} samples of {stored} bits")
        if _is_unprocessed(file):
            raise NoFilmError(
                expected="a film as it is looked at (FOR PRESENTATION)",
                found=f"the detector's unprocessed values (FOR PROCESSING) in {name}",
                remedy="Use the image that the same device made for presentation, or leave it out.",
            )
        levels, white = displayed_levels(file)
    except (*MISREAD, BytesLengthException, InvalidDicomError) as error:
        raise _unusable(name, f"{type(error).__name__} {' '.join(str(error).split())}") from error
    if photometric == "MONOCHROME1":
        levels = white - levels
    return np.rint(levels).astype(np.uint16), white


def _is_unprocessed(file: Dataset) -> bool:
    """By the file's own word, else by its class: dark and bright are exchanged there, and contrast is missing."""
    intent = str(file.get("PresentationIntentType") or "").upper()
    return "PROCESSING" in intent or (not intent and file.get("SOPClassUID") in _UNPROCESSED)


def _unusable(name: str, found: str) -> DataError:
    return DataError(
        expected="a grey DICOM image of one frame, 8 to 16 bits",
        found=f"{found[:160]} in {name}",
        remedy="Convert it to a 16-bit PNG, or install the decoder that its transfer syntax needs.",
    )


def displayed_levels(file: Dataset) -> tuple[NDArray[np.float64], int]:
    """What the file's own tables or window make of its stored values; MONOCHROME1 is not turned.

    Args:
        file: A grey, single-frame image as `pydicom.dcmread` returns it; its rescale is dropped where a table replaces
            it.

    Returns:
        Levels, float64 [height, width], 0 to white, and white's value: 2**bits - 1 with the bits of the last table's
        entries, or the stored bits where there is no table.

    Raises:
        ValueError: A table's depth is not 8 to 16 bits, or a level is no number.
        ArithmeticError, AttributeError, LookupError, TypeError: The file's elements contradict each other.
    """
    stored = int(file.BitsStored)
    levels, black, white, bits = _after_modality(file, stored)
    table = _table(file, "VOILUTSequence")
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
    elif file.get("WindowCenter") is not None and file.get("WindowWidth") is not None:
        # Its output range is the modality step's, turned where the slope is negative; so are these two ends.
        levels = apply_windowing(levels, file)
    elif white < black:
        black, white = white, black
    largest = 2**bits - 1
    # One factor, so that a range of the stored bits is kept to the last digit.
    grey = np.clip((levels - black) * (largest / (white - black)), 0, largest)
    if not np.isfinite(grey).all():
        raise ValueError("grey levels that are no numbers")
    return grey, largest


def _after_modality(file: Dataset, stored: int) -> tuple[NDArray[Any], float, float, int]:
    """Levels, what the least and the largest stored value become, and the bits of that range."""
    pixels = file.pixel_array
    table = _table(file, "ModalityLUTSequence")
    if table is not None:
        entries, first, bits = table
        for keyword in ("RescaleSlope", "RescaleIntercept"):
            # A table excludes a rescale; pydicom's window would stretch its output range by it all the same.
            if keyword in file:
                delattr(file, keyword)
        return _looked_up(pixels, entries, first), 0.0, 2.0**bits - 1, bits
    signed = int(file.get("PixelRepresentation") or 0) == 1
    least = -(2.0 ** (stored - 1)) if signed else 0.0
    largest = least + 2.0**stored - 1
    slope, intercept = file.get("RescaleSlope"), file.get("RescaleIntercept")
    if slope is None or intercept is None:
        return pixels, least, largest, stored
    slope, intercept = float(slope), float(intercept)
    return pixels * slope + intercept, least * slope + intercept, largest * slope + intercept, stored


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
