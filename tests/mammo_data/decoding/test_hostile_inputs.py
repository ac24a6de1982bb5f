"""Files made to harm: each ends as one clear line, none as another error."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammo_data import DataError, decode_grey, open_source, parse_info
from mammo_data.sources import archive_members
from mammo_data.sources.base import LARGEST_FILM
from mammo_data.truth import mias as mias_facts
from mammo_data.truth.mias import claims_to_be_mias, has_published_labels
from tests.support.packagings import FILES, INFO, PGM, put, tar_bytes, zip_bytes


def tar_with(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member, data in members:
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def info(name: str, **attributes: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(member, key, value)
    return member


def tar_declaring(size: int) -> bytes:
    """A member that claims to be large, with hardly anything behind it."""
    return zlib_gzip(info("mdb001.pgm", size=size).tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def zlib_gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def tar_bomb() -> bytes:
    """A member that really has its size: zeros, a thousandth of that in the archive."""
    size = LARGEST_FILM + 512
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(info("mdb001.pgm", size=size).tobuf(tarfile.GNU_FORMAT))]
    parts += [packer.compress(bytes(2**20)) for _ in range(size // 2**20 + 2)]
    return b"".join([*parts, packer.flush()])


def header_bomb(kind: bytes) -> bytes:
    """An extended header of 200 MiB: its size is no member's size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(info("x", size=200 * 2**20, type=kind).tobuf(tarfile.GNU_FORMAT))]
    parts += [packer.compress(bytes(2**20)) for _ in range(201)]
    return b"".join([*parts, packer.flush()])


def header_chain() -> bytes:
    """Twenty thousand extended headers in a row; tarfile calls itself for each."""
    header = info("x", size=512, type=tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT) + b"a".ljust(512, b"\0")
    return zlib_gzip(header * 20_000)


def zip_with(change: Callable[[zipfile.ZipInfo], None], data: bytes = PGM) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo("mdb001.pgm")
        entry.compress_type = zipfile.ZIP_DEFLATED
        change(entry)
        archive.writestr(entry, data)
    return buffer.getvalue()


def zip_declaring_less() -> bytes:
    """64 bytes declared, 1 MiB inside."""
    data = bytearray(zip_bytes({**FILES, "mdb001.pgm": bytes(2**20)}))
    return bytes(data.replace(struct.pack("<I", 2**20), struct.pack("<I", 75)))


def zip_encrypted() -> bytes:
    data = bytearray(zip_bytes(FILES))
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(magic)
        data[place + offset] |= 1
    return bytes(data)


def links(type_: bytes) -> bytes:
    return tar_with((info("mdb001.pgm", type=type_, linkname="/etc/passwd"), b""))


def set_link(entry: zipfile.ZipInfo) -> None:
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16


def deep_nesting() -> bytes:
    data = tar_bytes(FILES, "w")
    for level in range(6):
        data = tar_bytes({f"level{level}.tar": data}, "w")
    return data


HOSTILE = {
    "tar traversal": (lambda: tar_bytes({**FILES, "../../mdb003.pgm": PGM}), "outside"),
    "tar absolute": (lambda: tar_bytes({**FILES, "/tmp/mdb003.pgm": PGM}), "outside"),
    "tar backslashes": (lambda: tar_bytes({**FILES, "..\\..\\mdb003.pgm": PGM}), "outside"),
    "zip traversal": (lambda: zip_bytes({**FILES, "a/../../mdb003.pgm": PGM}), "outside"),
    "zip drive": (lambda: zip_bytes({**FILES, "C:/mdb003.pgm": PGM}), "outside"),
    "symbolic link": (lambda: links(tarfile.SYMTYPE), "link"),
    "hard link": (lambda: links(tarfile.LNKTYPE), "link"),
    "device": (lambda: links(tarfile.CHRTYPE), "device"),
    "fifo": (lambda: links(tarfile.FIFOTYPE), "device"),
    "zip link": (lambda: zip_with(set_link, b"/etc/passwd"), "link"),
    "declared bomb": (lambda: tar_declaring(2**40), "bytes"),
    "negative size": (lambda: tar_declaring(-5), "archive"),
    "real bomb": (tar_bomb, "bytes"),
    "pax header bomb": (lambda: header_bomb(tarfile.XHDTYPE), "extended header"),
    "long name bomb": (lambda: header_bomb(tarfile.GNUTYPE_LONGNAME), "extended header"),
    "header chain": (header_chain, "archive"),
    "zip bomb": (lambda: zip_with(lambda entry: None, bytes(LARGEST_FILM + 1)), "bytes"),
    "zip that declares less": (zip_declaring_less, "archive"),
    "encrypted zip": (zip_encrypted, "password"),
    "deep nesting": (deep_nesting, "levels"),
    "not nested at all": (lambda: tar_bytes({"a.tar.gz": b"no archive", **FILES}), "archive"),
    "cut zip": (lambda: zip_bytes(FILES)[:-30], "archive"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_at_no_cost(kind: str, tmp_path: Path) -> None:
    make, word = HOSTILE[kind]
    path = tmp_path / "set.archive"
    path.write_bytes(make())
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            open_source(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert word in str(caught.value)
    assert all(part for part in (caught.value.expected, caught.value.found, caught.value.remedy))
    assert "\n" not in str(caught.value)
    assert peak < 64 * 2**20
    assert list(tmp_path.iterdir()) == [path], "nothing is ever written"


def test_many_members_and_many_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "set.tar"
    path.write_bytes(tar_bytes({**FILES, **{f"file{n}": b"x" for n in range(50)}}, "w"))
    open_source(path)
    monkeypatch.setattr(archive_members, "MOST_MEMBERS", 20)
    with pytest.raises(DataError, match="in at most 20"):
        open_source(path)


@pytest.mark.parametrize(
    "header",
    [
        b"P5\n999999999 999999999\n255\n",
        b"P5\n16384 16384\n65535\n",
        b"P5\n4294967297 1\n255\n",
        b"P5\n\xd9\xa1 8\n255\n",
        b"P5\n8 8\n0\n",
        b"P5\n#" + b"a" * 100_000,
        b"P5\n" + b"#\n" * 5_000,
        b"P5\n8\n",
        b"P6\n8 8\n255\n",
    ],
)
def test_absurd_headers_cost_nothing(header: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="mdb001"):
            decode_grey(header + bytes(64), "mdb001")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff"])
def test_images_that_state_an_absurd_size_or_end_early(suffix: str) -> None:
    film = np.random.default_rng(0).integers(0, 256, (60, 40), dtype=np.uint8)
    data = cv2.imencode(suffix, film)[1].tobytes()
    assert decode_grey(data, "film").shape == (60, 40)
    with pytest.raises(DataError, match="film"):
        decode_grey(data[: len(data) // 2], "film")
    if suffix == ".png":
        ihdr = b"IHDR" + struct.pack(">II", 60_000, 60_000) + data[24:29]
        huge = data[:12] + ihdr + struct.pack(">I", zlib.crc32(ihdr)) + data[33:]
    else:
        huge = data.replace(struct.pack(">HH", 60, 40), struct.pack(">HH", 60_000, 60_000))
        huge = huge.replace(struct.pack("<HHIHH", 256, 3, 1, 40, 0), struct.pack("<HHIHH", 256, 3, 1, 60_000, 0))
    with pytest.raises(DataError, match="60000"):
        decode_grey(huge, "film")


def test_a_truth_table_with_nul_or_other_bytes(tmp_path: Path) -> None:
    for bad in (INFO + b"\0", INFO + b"\xff\xfe", INFO.decode().encode("utf-16") + b"\0"):
        with pytest.raises(DataError, match=r"Info\.txt"):
            _ = open_source(put(tmp_path / "set", {**FILES, "Info.txt": bad})).info_text


H5_FAULTS = ["not hdf5", "cut", "no scan", "group", "link", "object", "number"]
H5_FAULTS += ["float scan", "flat scan", "short column"]


@pytest.mark.parametrize("fault", H5_FAULTS)
def test_h5_files_with_wrong_types(fault: str, tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "all_mias_scans.h5"
    if fault == "not hdf5":
        path.write_bytes(b"no hdf5 at all")
    else:
        with h5py.File(path, "w") as file:
            scan = np.zeros((2, 8, 8), np.uint8)
            if fault == "group":
                file.create_group("scan")
            elif fault == "link":
                file["scan"] = h5py.ExternalLink("/etc/hostname", "/x")
            elif fault != "no scan":
                file["scan"] = {"float scan": scan.astype(float), "flat scan": scan.ravel()}.get(fault, scan)
            file["REFNUM"] = {"short column": [b"mdb001"], "number": [1, 2]}.get(fault, [b"mdb001", b"mdb002"])
            file["BG"], file["CLASS"], file["SEVERITY"] = [b"G"] * 2, [b"NORM"] * 2, [b"nan"] * 2
            if fault == "object":
                del file["BG"]
                file.create_dataset("BG", shape=(2,), dtype=h5py.ref_dtype)
        if fault == "cut":
            path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(DataError) as caught:
        open_source(path)
    assert str(path) in str(caught.value)
    assert caught.value.remedy


def test_other_labels_for_the_published_films_are_refused() -> None:
    rows = [f"mdb{number:03d} G NORM" for number in range(1, 323)]
    table = parse_info("\n".join(rows))
    assert claims_to_be_mias(table.image_ids, "")
    assert not has_published_labels(table)
    with pytest.raises(DataError, match=r"published.*cases\.csv"):
        mias_facts.require_published_labels(table, "", "here")
    mias_facts.require_published_labels(table, mias_facts.PHANTOM_MARK, "here")
    mias_facts.require_published_labels(table.take(range(321)), "", "here")
