"""What a DICOM file's tables, window and rescale make of its stored values.

Grey levels come in the standard's order: modality step, then VOI step, each with its own output range. The modality
step is a table or a straight line (rescale), the VOI step a table or a window. Tables are applied here, because pydicom
(3.0) indexes one of 8-bit entries by 8 bits, whatever the pixels have, and has no dtype for a modality table of another
depth than 8 or 16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing

from mammo_data.decoding.levels import own_range

_LARGEST_TABLE = 2**17 + 2


def displayed_levels(file: Dataset, values: NDArray[np.integer]) -> tuple[NDArray[np.float64], int, bool]:
    """What the file's own tables or window, or else the film's own range make of its stored values.

    MONOCHROME1 is not turned; a window as wide as the stated bits says no more than these.

    Args:
        file: A grey, single-frame image as `pydicom.dcmread` returns it; its rescale is dropped where a table replaces
            it.
        values: The stored values that occur, [n].

    Returns:
        Levels, float64 [n], 0 to white, and white's value: 2**bits - 1 with the bits of the last table's entries, the
        stored bits with a window alone, or else the bits that the film uses; and whether a table or a window says what
        is white.

    Raises:
        ValueError: A table's depth is not 8 to 16 bits, or a level is no number.
        ArithmeticError, AttributeError, LookupError, TypeError: The file's elements contradict each other.
    """
    stored = int(file.BitsStored)
    levels, black, white, bits, film = _after_modality(file, values, stored)
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


def padding(file: Dataset, values: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which stored values the file says are no film, bool [n]: its padding value, or a range of them."""
    ends = [file.get(keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None:
        return np.zeros(values.shape, bool)
    stated = [int(value) for value in ends if value is not None]
    if int(file.get("PixelRepresentation") or 0) == 1:
        # In files without explicit types both are read as unsigned.
        stated = [(value + 2**15) % 2**16 - 2**15 for value in stated]
    return (values >= min(stated)) & (values <= max(stated))


def _has_window(file: Dataset, black: float, white: float) -> bool:
    """Whether there is a window that is narrower than the range of the stated bits."""
    centre, width = file.get("WindowCenter"), file.get("WindowWidth")
    if centre is None or width is None:
        return False
    # Several windows may be given; the first is the usual one.
    middle, half = (float(np.atleast_1d(value)[0]) for value in (centre, width))
    return not (middle - half / 2 <= black and middle + half / 2 >= white)


def _after_modality(
    file: Dataset, pixels: NDArray[np.integer], stored: int
) -> tuple[NDArray[Any], float, float, int, tuple[float, float, int]]:
    """Levels, what the least and largest stored value become, the bits of that range, and the film's own range."""
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
    own = own_range(pixels[~padding(file, pixels)], stored, signed=signed)
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
    # Counted before the numbers become objects; 65,536 entries of a word each are the most.
    if len(getattr(items[0].get_item("LUTData"), "value", None) or b"") > _LARGEST_TABLE:
        raise ValueError("a table of too many entries")
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
