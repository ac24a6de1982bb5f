"""Films that nobody can use, as people have them, each with what is said of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray

from tests.support.case_folders import write_dicom


def write_bad_films(folder: Path, film: NDArray[np.uint8]) -> dict[str, str]:
    """Write them.

    Args:
        folder: Where to.
        film: A good one, uint8 [height, width].

    Returns:
        For each file's name words of the line about it.
    """
    height, width = film.shape
    twelve = film.astype(np.uint16) * 16
    plain = b"P5\n%d %d\n" % (width, height)
    encoded = cv2.imencode(".png", film)[1].tobytes()
    negative = (240 - film * 0.9).astype(np.uint8)
    written: dict[str, tuple[bytes, str]] = {
        "header.pgm": (b"P5\nwide", "a PGM header with width, height and maxval"),
        "maxval.pgm": (plain + b"0\n" + film.tobytes(), "a maxval of 1 to 65535"),
        "above.pgm": (plain + b"4095\n" + (twelve + 99).astype(">u2").tobytes(), "pixels of at most 4095, its maxval"),
        "cut.pgm": (plain + b"255\n" + film.tobytes()[:-9], f"{film.size} bytes of pixels for {width} × {height}"),
        "two.pgm": (2 * (plain + b"255\n" + film.tobytes()), "another image after them"),
        "swapped.pgm": (plain + b"65535\n" + (twelve + film).astype("<u2").tobytes(), "the low byte first"),
        "numbers.pgm": (b"P2\n4 4\n9\n1 2 3", "16 numbers, one a pixel"),
        "words.pgm": (b"P2\n2 1\n9\n1 two", "numbers of 0 to 65535, found 'two'"),
        "vast.pgm": (b"P5\n20000 20000\n255\n", "sides of 1 to 16384 pixels"),
        "start.png": (encoded[:12], "a PNG image with its size"),
        "half.png": (encoded[: len(encoded) // 2], "a complete PNG file"),
        "body.png": (encoded[:60] + bytes(200) + encoded[260:], "a PNG image that OpenCV decodes"),
        "letter.png": (b"Dear reader", "11 bytes of something else"),
        "page.png": (b"<html><body>404", "a web page"),
        "pointer.png": (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        "empty.png": (b"", "an empty file"),
    }
    pictures: dict[str, tuple[NDArray[np.generic], str]] = {
        "colours.png": (np.dstack([film, film[::-1], film[:, ::-1]]), "colours"),
        "float.tif": (film.astype(np.float32) / 255, "found float32"),
        "tiny.png": (film[:40, :40], "a film of at least 64 pixels a side"),
        "black.png": (film // 64, "a film with a breast on it, found grey levels"),
        "white.png": (np.maximum(film, 251), "a film"),
        "inverted.png": (negative, "a white edge"),
        "framed.png": (np.pad(negative, width // 8), "a white edge"),
        "mask.png": (cv2.circle(np.zeros_like(film), (60, 60), 25, 255, -1), "not a mask"),
        "speck.png": (cv2.circle(np.zeros_like(film), (60, 60), 9, 120, -1), "nothing on it larger than"),
    }
    for name, (data, _) in written.items():
        (folder / name).write_bytes(data)
    for name, (picture, _) in pictures.items():
        assert cv2.imwrite(str(folder / name), picture)
    changes: dict[str, tuple[dict[str, object], str]] = {
        "colours.dcm": ({"PhotometricInterpretation": "PALETTE COLOR"}, "colours (PALETTE COLOR)"),
        "raw.dcm": ({"PresentationIntentType": "FOR PROCESSING"}, "unprocessed values (FOR PROCESSING)"),
        "ct.dcm": ({"Modality": "CT"}, "a mammogram, found an image of modality CT"),
        "bits.dcm": ({"BitsStored": 4, "HighBit": 3}, f"{width} × {height} pixels of 4 bits"),
        "high.dcm": ({"HighBit": 15}, "12 bits of which the highest is bit 15"),
        "beyond.dcm": ({"BitsStored": 10, "HighBit": 9}, "where 10 bits are stated"),
        "slope.dcm": ({"RescaleSlope": 0, "RescaleIntercept": 0}, "ZeroDivisionError"),
        "none.dcm": ({"PixelData": None}, "data without an image"),
    }
    for name, (elements, _) in changes.items():
        write_dicom(folder / name, twelve, bits=12, photometric="MONOCHROME2")
        file = pydicom.dcmread(folder / name)
        for keyword, value in elements.items():
            if value is None:
                delattr(file, keyword)
            else:
                setattr(file, keyword, value)
        file.save_as(folder / name)
    return {name: words for table in (written, pictures, changes) for name, (_, words) in table.items()}
