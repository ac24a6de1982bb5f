"""Files as archives and converters make them: read, or called what they are."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from mammo_data import DataError, decode_grey
from tests.conftest import ROOT
from tests.support.case_folders import write_dicom

FILM = (np.arange(60 * 80).reshape(60, 80) % 251).astype(np.uint8)
WIDE = FILM.astype(np.uint16) * 16


def dicom(folder: Path, pixels: np.ndarray = WIDE) -> Path:
    write_dicom(folder / "a.dcm", pixels, bits=12, photometric="MONOCHROME2")
    return folder / "a.dcm"


def said(data: bytes) -> str:
    with pytest.raises(DataError) as caught:
        decode_grey(data, "film")
    assert "damaged" not in caught.value.found
    return str(caught.value)


def plain(maxval: int = 255, tail: str = "\n") -> bytes:
    rows = "\n".join(" ".join(map(str, row)) for row in FILM)
    return f"P2\n# by hand\n80 60 # across, down\n{maxval}\n{rows}{tail}".encode()


def test_plain_pgm() -> None:
    np.testing.assert_array_equal(decode_grey(plain(), "film"), FILM)
    np.testing.assert_array_equal(decode_grey(plain(tail=" # end\n"), "film"), FILM)
    np.testing.assert_array_equal(decode_grey(plain(4095), "film"), FILM, "the film's own range")
    for bad in (plain()[:-5], plain(tail=" 7\n"), plain().replace(b" 17 ", b" -7 ", 1), plain(100)):
        with pytest.raises(DataError, match="film"):
            decode_grey(bad, "film")


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r\n"])
def test_an_editors_line_end_behind_a_pgm_does_no_harm(tail: bytes) -> None:
    np.testing.assert_array_equal(decode_grey(b"P5\n80 60\n255\n" + FILM.tobytes() + tail, "film"), FILM)


def test_more_behind_a_pgm_is_called_what_it_is() -> None:
    one = b"P5\n80 60\n255\n" + FILM.tobytes()
    assert "12 more bytes after them" in said(one + bytes(12))
    assert "another image after them" in said(one + one)
    # A transfer in text mode shifts every pixel after the first line end.
    assert "more bytes" in said(one[:13] + one[13:].replace(b"\n", b"\r\n"))


@pytest.mark.parametrize("bits", [8, 16])
def test_big_tiff(bits: int) -> None:
    file = io.BytesIO()
    Image.fromarray(FILM if bits == 8 else FILM.astype(np.uint16) * 257).save(file, "TIFF", big_tiff=True)
    assert file.getvalue()[:3] == b"II+"
    np.testing.assert_array_equal(decode_grey(file.getvalue(), "film"), FILM)


@pytest.mark.parametrize("big", [True, False])
def test_pages_beyond_one_are_refused_and_previews_are_no_pages(big: bool) -> None:
    page, file = Image.fromarray(FILM), io.BytesIO()
    page.save(file, "TIFF", save_all=True, append_images=[page, page], big_tiff=big)
    assert "a TIFF of 3 pages" in said(file.getvalue())
    preview, file = Image.fromarray(FILM[::8, ::8].copy()), io.BytesIO()
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    page.save(file, "TIFF", save_all=True, append_images=[preview], big_tiff=big)
    np.testing.assert_array_equal(decode_grey(file.getvalue(), "film"), FILM)


@pytest.mark.parametrize("header", [True, False])
def test_dicom_without_preamble(header: bool, tmp_path: Path) -> None:
    path = dicom(tmp_path)
    whole = decode_grey(path.read_bytes(), "film")
    if header:
        bare = path.read_bytes()[132:]
    else:
        written = io.BytesIO()
        pydicom.dcmwrite(written, pydicom.dcmread(path), implicit_vr=True, little_endian=True, force_encoding=True)
        bare = written.getvalue()
        bare = bare[bare.index(b"\x08\0\x16\0", 132 + 60) :]
    np.testing.assert_array_equal(decode_grey(bare, "film"), whole)


def test_frames_colours_and_other_data_in_dicom(tmp_path: Path) -> None:
    file = pydicom.dcmread(dicom(tmp_path))
    file.NumberOfFrames, file.PixelData = 3, file.PixelData * 3
    file.save_as(tmp_path / "frames.dcm")
    assert "3 frames in film. Save the frame" in said((tmp_path / "frames.dcm").read_bytes())
    file.NumberOfFrames = 1
    file.save_as(tmp_path / "frame.dcm")
    file.SamplesPerPixel, file.PhotometricInterpretation = 3, "RGB"
    file.save_as(tmp_path / "colours.dcm")
    assert "colours (RGB)" in said((tmp_path / "colours.dcm").read_bytes())
    del file.PixelData
    file.Modality = "SR"
    file.save_as(tmp_path / "report.dcm")
    assert "data without an image (SR)" in said((tmp_path / "report.dcm").read_bytes())


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressions_that_archives_send(syntax: pydicom.uid.UID, tmp_path: Path) -> None:
    path = dicom(tmp_path)
    whole = decode_grey(path.read_bytes(), "film")
    file = pydicom.dcmread(path)
    file.compress(syntax)
    file.save_as(path)
    np.testing.assert_array_equal(decode_grey(path.read_bytes(), "film"), whole)


# Made with imagecodecs (libjpeg-turbo, OpenJPH) of the film in `disc`, for no encoder of these is among the packages.
STREAMS = {
    "1.2.840.10008.1.2.4.70": ("lossless_sv1.jpg", 0),
    "1.2.840.10008.1.2.4.57": ("lossless_predictor_6.jpg", 0),
    "1.2.840.10008.1.2.4.51": ("twelve_bits.jpg", 1),
    "1.2.840.10008.1.2.4.201": ("high_throughput.j2c", 0),
    "1.2.840.10008.1.2.4.203": ("high_throughput.j2c", 0),
}


def disc() -> np.ndarray:
    down, across = np.ogrid[:60, :80]
    return (np.hypot(down - 30, across) * 40).clip(0, 4000).astype(np.uint16)


@pytest.mark.parametrize("syntax", STREAMS)
def test_genuine_pixels_of_the_rarer_compressions(syntax: str, tmp_path: Path) -> None:
    path = dicom(tmp_path, disc())
    whole = decode_grey(path.read_bytes(), "film")
    name, within = STREAMS[syntax]
    file = pydicom.dcmread(path)
    file.file_meta.TransferSyntaxUID = syntax
    file.PixelData = encapsulate([(ROOT / "tests/support/data" / name).read_bytes()])
    file["PixelData"].VR = "OB"
    file.save_as(path)
    assert np.abs(decode_grey(path.read_bytes(), "film").astype(int) - whole).max() <= within


@pytest.mark.parametrize("syntax", list(STREAMS)[:2])
def test_lossless_jpeg_is_read_by_the_free_decoder(syntax: str) -> None:
    from pydicom.pixels import get_decoder

    assert "gdcm" in get_decoder(syntax).available_plugins


NO_TABLE = b"\xff\xda\0\x08\x01\x01\0\x01\0\0" + b"\x55" * 100 + b"\xff\xd9"  # a scan whose codes stand nowhere


@pytest.mark.parametrize(
    "syntax", [JPEGLosslessSV1, "1.2.840.10008.1.2.4.57", JPEGLSLossless, "1.2.840.10008.1.2.4.201"]
)
def test_what_no_decoder_reads_names_the_packages(syntax: str, tmp_path: Path) -> None:
    path = dicom(tmp_path)
    file = pydicom.dcmread(path)
    file.file_meta.TransferSyntaxUID = syntax
    file.PixelData = encapsulate([b"\xff\xd8\xff\xc3\0\x0b\x0c\0\x3c\0\x50\x01\x01\x11\0" + NO_TABLE])
    file["PixelData"].VR = "OB"
    file.save_as(path)
    with pytest.raises(DataError, match=r"mammo-search\[dicom\].*python-gdcm.*pyjpegls.*pylibjpeg-libjpeg"):
        decode_grey(path.read_bytes(), "film")


KINDS = {
    b"": "an empty file",
    bytes(400): "400 zero bytes",
    b"GIF89a" + bytes(9): "a GIF image",
    b"%PDF-1.4": "a PDF document",
    b"PK\x03\x04" + bytes(9): "a zip archive",
    b"<!DOCTYPE html><html>404": "a web page",
    b"P6\n8 8\n255\n" + bytes(192): "a colour image (PPM)",
    b"version https://git-lfs.github.com/spec/v1\n": "a Git LFS pointer in place of the file",
    b"\0\0\0\x0cjP  \r\n\x87\n": "a JPEG 2000 image",
    bytes(343) + b"\x01n+1\0": "a NIfTI image",
    cv2.imencode(".bmp", FILM)[1].tobytes(): "a BMP image",
    b"\xff\xd8\xff\xc3\0\x0b\x10\0\x3c\0\x50\x01\x01\x11\0" + bytes(40) + b"\xff\xd9": "a lossless",
}


@pytest.mark.parametrize("data", KINDS, ids=KINDS.values())
def test_other_kinds_of_file_are_named(data: bytes) -> None:
    assert f"found {KINDS[data]}" in said(data)


def test_a_tiff_of_floats_is_not_called_damaged() -> None:
    assert "float32" in said(cv2.imencode(".tiff", FILM.astype(np.float32))[1].tobytes())
