"""TIFFs in which zero is white give the picture of those in which it is black, at every depth."""

import struct

import numpy as np
import pytest

from mammo_data import decode_grey
from mammo_data.decoding.layout import is_white_zero, layout

WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1


def tiff(pixels: np.ndarray, order: str, bits: int, photometric: int) -> bytes:
    """One uncompressed strip, written by hand: header, pixels, directory."""
    strip = pixels.astype(np.dtype(f"u{bits // 8}").newbyteorder(order)).tobytes()
    height, width = pixels.shape
    fields = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height}
    entries = [struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in fields.items()]
    entries.append(struct.pack(f"{order}HHII", 279, 4, 1, len(strip)))
    directory = struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}I", 8 + len(strip)) + strip + directory


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
def test_either_polarity_gives_the_same_picture(order: str, bits: int) -> None:
    white = 2**bits - 1
    film = np.linspace(0, white, 96).round().astype(int).reshape(8, 12)
    black_zero = tiff(film, order, bits, BLACK_IS_ZERO)
    white_zero = tiff(white - film, order, bits, WHITE_IS_ZERO)
    for data in (black_zero, white_zero):
        stated = layout(data)
        assert stated is not None
        assert (stated.width, stated.height, stated.channels, stated.bits) == (12, 8, 1, bits)
    assert (is_white_zero(black_zero), is_white_zero(white_zero)) == (False, True)
    picture = decode_grey(black_zero, "film")
    np.testing.assert_allclose(picture, film * 255 / white, atol=0.51)
    np.testing.assert_array_equal(decode_grey(white_zero, "film"), picture)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("white", [4095, 65535], ids=["of 12 bits", "of 16 bits"])
@pytest.mark.parametrize("brightest", [1000, 4095])
def test_twelve_bits_in_sixteen_are_turned_in_either_range(order: str, white: int, brightest: int) -> None:
    film = np.linspace(0, brightest, 96).round().astype(int).reshape(8, 12)
    picture = decode_grey(tiff(film, order, 16, BLACK_IS_ZERO), "film")
    np.testing.assert_array_equal(decode_grey(tiff(white - film, order, 16, WHITE_IS_ZERO), "film"), picture)


def test_other_and_damaged_headers_are_not_turned() -> None:
    good = tiff(np.zeros((4, 4)), "<", 16, WHITE_IS_ZERO)
    for data in (b"", b"\x89PNG\r\n\x1a\n", b"II*\0", good[:60]):
        assert not is_white_zero(data)
