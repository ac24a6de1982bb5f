"""One frame of a DICOM file as it is meant to be looked at; needs the extra ``dicom`` (pydicom)."""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray

from mammo_data.errors import DataError


def decode_dicom(data: bytes, name: str, largest_side: int) -> tuple[NDArray[np.uint16], int]:
    """Decode a grey, single-frame DICOM image.

    The file's own rescale or modality table and then its window or VOI table are applied where it has them, and
    MONOCHROME1 is turned so that high is bright.

    Args:
        data: The file.
        name: What to call it in an error.
        largest_side: Sides above it, in pixels, are refused before the pixels are unpacked.

    Returns:
        Pixels, uint16 [height, width], and white's value.

    Raises:
        DataError: pydicom is not installed, or the file is no such image.
    """
    try:
        import pydicom
        from pydicom.errors import BytesLengthException, InvalidDicomError

        from mammo_data.decoding.dicom_grey import displayed_levels
    except ImportError as error:
        raise DataError(
            expected="pydicom, which reads DICOM files",
            found=f"no such module for {name}",
            remedy="Install it with: pip install 'mammo-search[dicom]'.",
        ) from error
    try:
        file = pydicom.dcmread(io.BytesIO(data))
        height, width, stored = int(file.Rows), int(file.Columns), int(file.BitsStored)
        frames, samples = int(file.get("NumberOfFrames") or 1), int(file.SamplesPerPixel)
        photometric = str(file.PhotometricInterpretation)
        sides_fit = 0 < width <= largest_side and 0 < height <= largest_side
        if not sides_fit or frames != 1 or samples != 1 or not 8 <= stored <= 16:
            raise _unusable(name, f"{width} × {height}, {frames} frames, {samples} samples of {stored} bits")
        levels, white = displayed_levels(file)
    except (
        InvalidDicomError,
        ArithmeticError,
        AttributeError,
        BytesLengthException,
        EOFError,
        LookupError,
        NotImplementedError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        raise _unusable(name, f"{type(error).__name__} {' '.join(str(error).split())}") from error
    if photometric == "MONOCHROME1":
        levels = white - levels
    return np.rint(levels).astype(np.uint16), white


def _unusable(name: str, found: str) -> DataError:
    return DataError(
        expected="a grey DICOM image of one frame, 8 to 16 bits",
        found=f"{found[:160]} in {name}",
        remedy="Convert it to a 16-bit PNG, or install the decoder that its transfer syntax needs.",
    )
