from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from mammo_data import DataError, decode_grey, load_cases, open_source

INFO = b"prose\nmdb001 G CIRC B 5 4 2\nmdb002 G NORM \n"


def pgm(value: int, size: int = 8) -> bytes:
    return b"P5\n%d %d\n255\n" % (size, size) + bytes([value]) * (size * size)


def write_folder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "Info.txt").write_bytes(INFO)
    (folder / "mdb001.pgm").write_bytes(pgm(1))
    (folder / "MDB002.PGM").write_bytes(pgm(2))
    return folder


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


FILES = {"./mdb002.pgm": pgm(2), "./Info.txt": INFO, "./mdb001.pgm": pgm(1)}


def test_folder_and_archive_are_the_same_source(tmp_path: Path) -> None:
    folder = open_source(write_folder(tmp_path / "images"))
    archive = open_source(write_tar(tmp_path / "all-mias.tar.gz", FILES))
    assert folder.image_ids == archive.image_ids == ("mdb001", "mdb002")
    assert folder.fingerprint == archive.fingerprint
    assert load_cases(folder) == load_cases(archive)
    assert dict(folder.stream()) == dict(archive.stream())
    assert archive.read("mdb002") == pgm(2)
    assert archive.read("mdb001") == folder.read("mdb001") == pgm(1)


def test_a_changed_pixel_changes_the_fingerprint(tmp_path: Path) -> None:
    one = open_source(write_tar(tmp_path / "a.tar.gz", FILES))
    other = open_source(write_tar(tmp_path / "b.tar.gz", {**FILES, "./mdb001.pgm": pgm(3)}))
    assert one.fingerprint != other.fingerprint


def test_the_truth_table_may_lie_elsewhere(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images")
    (folder / "Info.txt").rename(tmp_path / "truth.txt")
    with pytest.raises(DataError, match="--info"):
        open_source(folder)
    assert len(load_cases(open_source(folder, tmp_path / "truth.txt"))) == 2


def test_rows_and_images_must_match(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images")
    (folder / "mdb001.pgm").unlink()
    with pytest.raises(DataError, match="no image for mdb001"):
        load_cases(open_source(folder))
    (folder / "mdb001.pgm").write_bytes(pgm(1))
    (folder / "mdb003.pgm").write_bytes(pgm(1))
    with pytest.raises(DataError, match="no row for mdb003"):
        load_cases(open_source(folder))


def test_an_image_that_is_there_in_two_versions_is_refused(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", {**FILES, "benign/MDB001.pgm": pgm(7)})
    with pytest.raises(DataError, match="mdb001"):
        open_source(archive)


@pytest.mark.parametrize("name", ["/mdb003.pgm", "../mdb003.pgm"])
def test_members_outside_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="outside"):
        open_source(write_tar(tmp_path / "a.tar.gz", {**FILES, name: pgm(1)}))


def test_links_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("mdb001.pgm")
        link.type, link.linkname = tarfile.SYMTYPE, "Info.txt"
        archive.addfile(link)
    with pytest.raises(DataError, match="link"):
        open_source(path)


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = b"P5\n64 64\n255\n" + rng.integers(0, 256, 4096, dtype=np.uint8).tobytes()
    path = write_tar(tmp_path / "a.tar.gz", {"Info.txt": INFO, "mdb001.pgm": noise, "mdb002.pgm": noise})
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="complete archive"):
        open_source(path)


def test_nothing_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--demo"):
        open_source(tmp_path / "absent")


def test_pgm_is_read_exactly() -> None:
    pixels = decode_grey(b"P5\n# a comment\n3 2\n255\n\x00\x01\x02\x0a\x0d\xff", "image")
    np.testing.assert_array_equal(pixels, [[0, 1, 2], [10, 13, 255]])
    deep = decode_grey(b"P5 2 1 65535\n\x00\x00\xff\xff", "image")
    np.testing.assert_array_equal(deep, [[0, 255]])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"P5",
        b"P5\n3 2\n255\n\x00",
        b"P5\n3 2\n255\n1234567",
        b"P5\n0 2\n255\n",
        b"P5\n99999 99999\n255\n",
        b"P5\n3 2\n99999\n123456",
        b"P5\n2 1\n100\n\x00\xff",
        b"P5\n-3 2\n255\n123456",
        b"not an image at all",
    ],
)
def test_damaged_images_are_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="mdb009"):
        decode_grey(data, "mdb009")


@pytest.mark.mias
@pytest.mark.slow
def test_the_real_archive_reads_without_unpacking(mias_archive: Path) -> None:
    source = open_source(mias_archive)
    assert len(source.image_ids) == 322
    shapes = {decode_grey(data, image_id).shape for image_id, data in source.stream()}
    assert shapes == {(1024, 1024)}
