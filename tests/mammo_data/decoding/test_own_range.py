"""Grey levels by the range that a film itself uses, whatever room its file has for more."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image

from mammo_data import decode_grey, find_breast, require_film
from tests.support.case_folders import write_dicom

Y, X = np.mgrid[0:200, 0:160]
BREAST = ((Y - 100) / 85) ** 2 + (X / 100) ** 2 < 1


def film(white: int, *, air: float = 0.0) -> np.ndarray:
    """uint16 [200, 160]: a breast of 0.35 to 1 of white with its brightest spot, in air."""
    levels = np.where(BREAST, 0.35 + 0.4 * (1 - X / 160), air)
    levels[100:104, 20:24] = 1
    return np.rint(levels * white).astype(np.uint16)


def encoded(kind: str, pixels: np.ndarray, folder: Path, bits: int = 16, **elements: Any) -> bytes:
    if kind == "pgm":
        return (
            b"P5\n%d %d\n%d\n" % (*pixels.shape[::-1], 2**bits - 1)
            + pixels.astype(">u2" if bits > 8 else "u1").tobytes()
        )
    if kind != "dcm":
        return cv2.imencode(f".{kind}", pixels)[1].tobytes()
    write_dicom(folder / "a.dcm", pixels, bits=bits, photometric=elements.pop("photometric", "MONOCHROME2"))
    file = pydicom.dcmread(folder / "a.dcm")
    file.PixelRepresentation = elements.pop("signed", 0)
    for keyword, value in elements.items():
        if keyword.startswith("PixelPadding"):
            file.add_new(keyword, "SS" if file.PixelRepresentation else "US", value)
        else:
            setattr(file, keyword, value)
    file.save_as(folder / "a.dcm")
    return (folder / "a.dcm").read_bytes()


def agreement(grey: np.ndarray) -> float:
    mask = require_film(grey, "film").mask
    return float((mask & BREAST).sum() / (mask | BREAST).sum())


@pytest.mark.parametrize("kind", ["pgm", "png", "tiff", "dcm"])
@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("room", [0, 1, 2, 4])
def test_unused_bits_change_nothing(kind: str, depth: int, room: int, tmp_path: Path) -> None:
    bits = min(16, depth + room)
    grey = decode_grey(encoded(kind, film(2**depth - 1), tmp_path, bits), "film")
    np.testing.assert_allclose(grey, film(255), atol=1.1)
    assert agreement(grey) > 0.95


@pytest.mark.parametrize("kind", ["pgm", "png", "tiff", "dcm"])
def test_a_label_burnt_in_at_the_maximum_does_not_count(kind: str, tmp_path: Path) -> None:
    pixels = film(4095)
    pixels[10:20, 110:150] = 65535
    pixels[20, 110:150] = 30000
    grey = decode_grey(encoded(kind, pixels, tmp_path), "film")
    np.testing.assert_allclose(grey[30:], film(255)[30:], atol=1)
    assert (grey[10:21, 110:150] == 255).all()


def test_bright_spots_of_a_film_are_no_label(tmp_path: Path) -> None:
    pixels = film(900)
    pixels[80:92, 20:26] = np.linspace(1000, 4095, 72).reshape(12, 6)
    grey = decode_grey(encoded("png", pixels, tmp_path), "film")
    assert grey[80:92, 20:26].min() < 70 < 200 < grey[80:92, 20:26].max()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    "padding", [{"PixelPaddingValue": 65000}, {"PixelPaddingValue": 60000, "PixelPaddingRangeLimit": 65535}]
)
def test_what_the_file_says_is_no_film_is_black(photometric: str, padding: dict[str, int], tmp_path: Path) -> None:
    pixels = film(4095) if photometric == "MONOCHROME2" else 4095 - film(4095)
    pixels[:, 140:] = 65000
    grey = decode_grey(encoded("dcm", pixels, tmp_path, photometric=photometric, **padding), "film")
    np.testing.assert_allclose(grey[:, :140], film(255)[:, :140], atol=1)
    assert not grey[:, 140:].any()


def test_signed_files(tmp_path: Path) -> None:
    positive = decode_grey(encoded("dcm", film(4095), tmp_path, signed=1), "film")
    around = decode_grey(encoded("dcm", film(4095) - np.uint16(2048), tmp_path, signed=1), "film")
    padded = film(4095).astype(np.int32) - 2048
    padded[:, 140:] = -20000
    words = padded.astype(np.int16).view(np.uint16)
    padded_grey = decode_grey(encoded("dcm", words, tmp_path, signed=1, PixelPaddingValue=-20000), "film")
    for grey in (positive, around, padded_grey):
        np.testing.assert_allclose(grey[:, :140], film(255)[:, :140], atol=1)
    assert not padded_grey[:, 140:].any()


def test_a_window_as_wide_as_the_stated_bits_says_nothing(tmp_path: Path) -> None:
    wide = encoded("dcm", film(4095), tmp_path, WindowCenter=32768, WindowWidth=65536)
    np.testing.assert_allclose(decode_grey(wide, "film"), film(255), atol=1)
    narrow = encoded("dcm", film(4095), tmp_path, WindowCenter=4096, WindowWidth=8192)
    np.testing.assert_allclose(decode_grey(narrow, "film"), film(127), atol=1.1)


@pytest.mark.parametrize("air", [0, 10, 30, 60])
@pytest.mark.parametrize("white", [60, 120, 255])
def test_the_breast_is_found_in_air_that_is_not_black_and_on_a_dim_film(air: int, white: int) -> None:
    grain = np.random.default_rng(0).integers(-2, 3, BREAST.shape)
    grey = np.clip(film(white, air=air / 255) + grain, 0, 255).astype(np.uint8)
    mask = find_breast(grey).mask
    assert (mask & BREAST).sum() / (mask | BREAST).sum() > 0.93


def test_a_strip_of_film_on_black_padding_is_no_breast() -> None:
    sheet = np.zeros((260, 240), np.uint8)
    sheet[30:230, 40:200] = film(255, air=40 / 255)
    mask = find_breast(sheet).mask[30:230, 40:200]
    assert (mask & BREAST).sum() / (mask | BREAST).sum() > 0.93
    assert find_breast(sheet).mask.sum() == mask.sum()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_is_no_film(mode: str) -> None:
    grey = film(255).astype(np.uint8)
    clear = np.full_like(grey, 255)
    clear[:, 140:] = 0
    grey[:, 140:] = 255
    written = io.BytesIO()
    Image.fromarray(np.dstack([*[grey] * (len(mode) - 1), clear]), mode).save(written, "PNG")
    found = decode_grey(written.getvalue(), "film")
    np.testing.assert_array_equal(found, np.where(clear, grey, 0))
