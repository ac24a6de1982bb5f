"""Grey levels of DICOM files with rescales, windows and tables: every ramp from black to white comes out as one."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from mammo_data import DataError, decode_grey
from tests.support.case_folders import write_dicom


def ramp(bits: int = 12, step: int = 1) -> np.ndarray:
    return np.arange(0, 2**bits, step).reshape(16, -1)


def table(
    entries: np.ndarray, bits: int, *, first: int = 0, count: int | None = None, packed: bool | None = None
) -> list[Dataset]:
    """A LUT of explicit numbers; ``packed`` True has two of them a word, False one, both as bytes."""
    item = Dataset()
    count = len(entries) if count is None else count
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [count % 2**16, first, bits])
    if packed is None:
        item.add_new("LUTData", "US", [int(value) for value in entries])
    else:
        item.add_new("LUTData", "OW", entries.astype("u1" if packed else "<u2").tobytes())
    return [item]


def shown(folder: Path, pixels: np.ndarray, bits: int, photometric: str = "MONOCHROME2", **elements: Any) -> np.ndarray:
    """What is read of a file with these elements; negative pixels make it a signed one."""
    path = folder / "a.dcm"
    write_dicom(path, pixels, bits=bits, photometric=photometric)
    file = pydicom.dcmread(path)
    file.PixelRepresentation = int(pixels.min() < 0)
    for keyword, value in elements.items():
        setattr(file, keyword, value)
    file.save_as(path)
    return decode_grey(path.read_bytes(), "a")


def assert_is_ramp(found: np.ndarray, *, downwards: bool = False, within: float = 0.51) -> None:
    expected = np.linspace(0, 255, found.size).reshape(found.shape)
    np.testing.assert_allclose(found, 255 - expected if downwards else expected, atol=within)


@pytest.mark.parametrize("stored", [8, 10, 12, 14])
@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_white_is_the_tables_own(stored: int, depth: int, photometric: str, tmp_path: Path) -> None:
    entries = np.linspace(0, 2**depth - 1, 2**stored).round()
    pixels = ramp(stored, 2 ** (stored - 8))
    found = shown(tmp_path, pixels, stored, photometric, VOILUTSequence=table(entries, depth))
    expected = entries[pixels] * 255 / (2**depth - 1)
    np.testing.assert_allclose(found, 255 - expected if photometric == "MONOCHROME1" else expected, atol=0.51)


def test_a_table_that_stays_dark_is_dark(tmp_path: Path) -> None:
    entries = np.linspace(0, 1023, 2**14).round()
    assert shown(tmp_path, ramp(14, 16), 14, VOILUTSequence=table(entries, 12)).max() == 64


def test_a_table_of_fewer_bits_than_are_stated_is_taken_at_the_stored_bits(tmp_path: Path) -> None:
    assert_is_ramp(shown(tmp_path, ramp(), 12, VOILUTSequence=table(np.arange(4096), 16)))


@pytest.mark.parametrize("packed", [True, False])
def test_tables_of_bytes(packed: bool, tmp_path: Path) -> None:
    entries = np.linspace(0, 255, 4096).round()
    assert_is_ramp(shown(tmp_path, ramp(), 12, VOILUTSequence=table(entries, 8, packed=packed)), within=1)


def test_tables_of_words_in_either_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    entries = np.linspace(0, 65535, 65536)
    write_dicom(path, ramp(16, 16), bits=16, photometric="MONOCHROME2")
    file = pydicom.dcmread(path)
    file.VOILUTSequence = table(entries, 16, packed=False)
    file.save_as(path)
    assert_is_ramp(decode_grey(path.read_bytes(), "a"), within=1)
    file.VOILUTSequence[0].LUTData = entries.astype(">u2").tobytes()
    file.PixelData = ramp(16, 16).astype(">u2").tobytes()
    file.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    pydicom.dcmwrite(path, file, little_endian=False, implicit_vr=False, force_encoding=True)
    assert_is_ramp(decode_grey(path.read_bytes(), "a"), within=1)


def test_values_outside_of_a_table_get_its_ends(tmp_path: Path) -> None:
    entries = np.linspace(100, 4000, 1000).round()
    found = shown(tmp_path, ramp(), 12, VOILUTSequence=table(entries, 12, first=2000)).ravel()
    assert set(found[:2001]) == {round(100 * 255 / 4095)}
    assert set(found[2999:]) == {round(4000 * 255 / 4095)}


def test_no_offset_follows_a_table_of_signed_values(tmp_path: Path) -> None:
    entries = np.linspace(0, 65535, 4096).round()
    assert_is_ramp(shown(tmp_path, ramp() - 2048, 12, VOILUTSequence=table(entries, 16, first=-2048)))


def test_signed_values_as_they_are_and_in_a_window(tmp_path: Path) -> None:
    assert_is_ramp(shown(tmp_path, ramp() - 2048, 12))
    assert_is_ramp(shown(tmp_path, ramp() - 2048, 12, WindowCenter=0, WindowWidth=4096))


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (0.25, 100), (16, -32768), (-1, 4095)])
def test_rescaled_values_with_and_without_a_window(slope: float, intercept: float, tmp_path: Path) -> None:
    rescale = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    assert_is_ramp(shown(tmp_path, ramp(), 12, **rescale), downwards=slope < 0)
    middle, width = 2047.5 * slope + intercept, 4095 * abs(slope)
    window = {"WindowCenter": middle, "WindowWidth": width, "VOILUTFunction": "LINEAR_EXACT"}
    assert_is_ramp(shown(tmp_path, ramp(), 12, **rescale, **window), downwards=slope < 0)
    assert_is_ramp(shown(tmp_path, ramp(), 12, "MONOCHROME1", **rescale, **window), downwards=slope > 0)


def test_a_window_is_in_rescaled_values(tmp_path: Path) -> None:
    window = {"WindowCenter": 1024, "WindowWidth": 2048}
    found = shown(tmp_path, ramp(), 12, RescaleSlope=1, RescaleIntercept=-1024, **window).ravel()
    np.testing.assert_array_equal(found[[0, 1024, 2048, 3071, 4095]], [0, 0, 128, 255, 255])


@pytest.mark.parametrize("explicit", [True, False])
def test_a_table_maps_rescaled_values(explicit: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    write_dicom(path, ramp(), bits=12, photometric="MONOCHROME2")
    file = pydicom.dcmread(path)
    file.RescaleSlope, file.RescaleIntercept = 1, -1024
    file.VOILUTSequence = table(np.linspace(0, 65535, 4096).round(), 16, first=-1024)
    if not explicit:
        # Its type is told by the stored values then, which are unsigned.
        file.VOILUTSequence[0]["LUTDescriptor"].VR = "US"
        file.VOILUTSequence[0]["LUTDescriptor"].value = [4096, 2**16 - 1024, 16]
        file.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    pydicom.dcmwrite(path, file, implicit_vr=not explicit, little_endian=True, force_encoding=True)
    assert_is_ramp(decode_grey(path.read_bytes(), "a"))


def test_a_modality_table_comes_first_and_replaces_a_rescale(tmp_path: Path) -> None:
    modality = table(np.linspace(0, 65535, 4096).round(), 16)
    rescale = {"RescaleSlope": 2, "RescaleIntercept": 5}
    assert_is_ramp(shown(tmp_path, ramp(), 12, ModalityLUTSequence=modality, **rescale))
    window = {"WindowCenter": 32768, "WindowWidth": 65536}
    assert_is_ramp(shown(tmp_path, ramp(), 12, ModalityLUTSequence=modality, **rescale, **window))
    voi = table(np.linspace(1023, 0, 1024), 10, first=4096)
    wider = table(np.linspace(4096, 5119, 4096).round(), 16)
    assert_is_ramp(shown(tmp_path, ramp(), 12, ModalityLUTSequence=wider, VOILUTSequence=voi), downwards=True, within=1)


def test_a_rescale_that_changes_nothing_changes_nothing(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (40, 50))
    plain = shown(tmp_path, pixels, 12)
    np.testing.assert_array_equal(shown(tmp_path, pixels, 12, RescaleSlope=1, RescaleIntercept=0), plain)
    np.testing.assert_array_equal(shown(tmp_path, pixels, 12, WindowCenter=2048, WindowWidth=4096), plain)


@pytest.mark.parametrize(
    "elements",
    [
        {"RescaleSlope": 0, "RescaleIntercept": 0},
        {"VOILUTSequence": table(np.arange(16), 4)},
        {"VOILUTSequence": table(np.arange(4096), 32)},
        {"ModalityLUTSequence": table(np.arange(64), 16, count=4096)},
        {"WindowCenter": 2048, "WindowWidth": 0},
    ],
    ids=["slope 0", "4 bits", "32 bits", "cut", "width 0"],
)
def test_elements_without_sense_are_one_line(elements: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="in a") as caught:
        shown(tmp_path, ramp(), 12, **elements)
    assert "\n" not in str(caught.value)


def test_a_level_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    shown(tmp_path, ramp(), 12, WindowCenter="2048", WindowWidth=4096)
    tag = struct.pack("<HH2sH", 0x28, 0x1050, b"DS", 4)
    damaged = path.read_bytes().replace(tag + b"2048", tag + b"nan ")
    assert damaged != path.read_bytes()
    with pytest.raises(DataError, match="no numbers in a"):
        decode_grey(damaged, "a")


def test_a_rescale_of_a_damaged_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    shown(tmp_path, ramp(), 12, RescaleSlope=1, RescaleIntercept=5)
    tag = struct.pack("<HH", 0x28, 0x1052)
    damaged = path.read_bytes().replace(tag + b"DS", tag + b"FD")
    with pytest.raises(DataError, match="BytesLength"):
        decode_grey(damaged, "a")
