"""Every message about a film or a packaging, as the command line gives it."""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from mammo_data import decode_grey, open_source
from tests.support.bad_films import write_bad_films
from tests.support.case_folders import write_dicom
from tests.support.command_line import typed


@pytest.fixture(scope="module")
def film(phantom: Path) -> np.ndarray:
    source = open_source(phantom)
    return decode_grey(source.read("mdb001"), "mdb001")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def list_all(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    lines = [f"{name},p{number},{'NM'[number % 2]}" for number, name in enumerate(names)]
    (folder / "cases.csv").write_text("\n".join(["image,patient,label", *lines]))


def test_each_film_that_nobody_can_use_is_named_with_the_reason(film, workspace, capsys):
    wanted = write_bad_films(workspace, film)
    list_all(workspace)
    check, preview = typed(capsys, "data", "check", "own"), typed(capsys, "data", "preview", "own")
    assert check.code == preview.code == 3
    for name, words in wanted.items():
        stems = (f": {name}: ", f": {Path(name).stem}: ")
        lines = [line for line in check.error_lines if any(stem in line for stem in stems)]
        assert [words in line for line in lines] == [True], (name, words, lines)
    assert f"and {len(wanted) - 20} more" in preview.err
    audit = typed(capsys, "data", "audit", "--data", "own", "--no-permutation", "--set", "split.folds=2")
    assert f"and {len(wanted) - 20} more" in audit.err


def test_dicom_without_its_extra_names_it(film, workspace, capsys, monkeypatch):
    write_dicom(workspace / "a.dcm", film.astype(np.uint16), bits=8)
    write_dicom(workspace / "b.dcm", film.astype(np.uint16), bits=8)
    list_all(workspace)
    monkeypatch.delitem(sys.modules, "mammo_data.decoding.dicom", raising=False)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert "pip install 'mammo-search[dicom]'" in typed(capsys, "data", "check", "own").err


def tar(path: Path, members: dict[str, tuple[int, bytes] | str]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
                continue
            info.size = content[0] or len(content[1])
            archive.addfile(info, None if content[0] else io.BytesIO(content[1]))


def nested(depth: int) -> bytes:
    data = b"x"
    for level in range(depth):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("film.pgm" if level == 0 else "inner.zip", data)
        data = buffer.getvalue()
    return data


PGM = b"P5\n2 2\n255\n0000"
ARCHIVES = {
    "only all_mias_scans.h5 in": {"all_mias_scans.h5": (0, b"x")},
    "mdb001 as a/mdb001.pgm and, with other bytes, as b/mdb001.pgm": {
        "a/mdb001.pgm": (0, PGM),
        "b/mdb001.pgm": (0, PGM[:-1]),
    },
    "a member outside the archive": {"../mdb001.pgm": (0, PGM)},
    "a link, device or sparse file": {"mdb001.pgm": "/etc/passwd"},
    f"files of at most {288 * 2**20} bytes": {"mdb001.pgm": (2**29, b"")},
    f"at most {4 * 2**30} bytes unpacked": {"films.zip": (5 * 2**30, b"")},
    f"{192 * 2**20} bytes in a nested zip": {"films.zip": (2**30 + 1, b"")},
    "at most 3 levels": {"films.zip": (0, nested(5))},
    "own/cases.csv in": {"own/cases.csv": (0, b"image"), "own/a.png": (0, b"x")},
    "Info.txt beside the images; found none": {"mdb001.pgm": (0, PGM)},
    "a/Info.txt and, with other bytes, b/Info.txt": {
        "mdb001.pgm": (0, PGM),
        "a/Info.txt": (0, b"1"),
        "b/Info.txt": (0, b"2"),
    },
    "the 50 µm release v1.21": {"mdb001lm.pgm": (0, PGM), "mdb002rm.pgm": (0, PGM)},
    "copies made before the split leak": {"mdb001_flipped.pgm": (0, PGM)},
}


@pytest.mark.parametrize("words", ARCHIVES)
def test_an_archive_that_is_not_what_it_claims(words, capsys):
    tar(Path("films.tar"), ARCHIVES[words])
    answer = typed(capsys, "data", "check", "films.tar")
    (line,) = answer.error_lines
    assert answer.code == 3
    assert words in line


def film_file(path: Path, **datasets: object) -> None:
    text = h5py.string_dtype()
    usual: dict[str, object] = {"scan": np.zeros((1, 4, 4), np.uint8), "REFNUM": ["mdb001"], "BG": ["G"]}
    usual |= {"CLASS": ["NORM"], "SEVERITY": [""]} | datasets
    with h5py.File(path, "w") as file:
        for name, values in usual.items():
            if isinstance(values, list):
                file.create_dataset(name, data=values, dtype=text)
            elif isinstance(values, str):
                file.create_group(name)
            elif isinstance(values, h5py.SoftLink):
                file[name] = values
            elif values is not None:
                file.create_dataset(name, data=values)


@pytest.mark.parametrize(
    ("datasets", "words"),
    [
        ({"BG": None}, "no dataset BG"),
        ({"BG": "group"}, "BG as a group"),
        ({"BG": h5py.SoftLink("/CLASS")}, "BG as a link"),
        ({"BG": np.zeros((1, 2))}, "BG of shape (1, 2)"),
        ({"BG": np.zeros(1, bool)}, "BG as bool"),
        ({"BG": ["G", "G"]}, "2 values of BG for 1 scan"),
        ({"scan": np.zeros((1, 4, 4))}, "scan as float64 (1, 4, 4)"),
        ({"REFNUM": ["film1"]}, "REFNUM 'film1' in row 0"),
    ],
)
def test_an_hdf5_file_of_another_kind(datasets, words, capsys):
    film_file(Path("scans.h5"), **datasets)
    (line,) = typed(capsys, "data", "check", "scans.h5").error_lines
    assert words in line


def test_scans_of_one_film_that_differ_and_a_file_that_is_none(capsys):
    rows = {name: [value, value] for name, value in {"REFNUM": "mdb001", "BG": "G", "CLASS": "NORM"}.items()}
    scans = np.stack([np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)])
    film_file(Path("scans.h5"), scan=scans, SEVERITY=["", ""], **rows)
    assert "mdb001 as row 0 and, with other bytes, as row 1" in typed(capsys, "data", "check", "scans.h5").err
    Path("scans.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert "OSError" in typed(capsys, "data", "check", "scans.h5").err


def test_folders_of_other_kinds(phantom, film, workspace, capsys):
    def said(*words: object) -> str:
        answer = typed(capsys, *words)
        assert answer.code == 3
        return answer.err

    (workspace / "Info.txt").write_text("mdb001 G NORM\n")
    assert "images named mdb001.pgm, mdb002.pgm, …; found none in own" in said("data", "preview", "own")
    shutil.copytree(phantom, "films")
    (Path("films") / "mdb002.pgm").unlink()
    assert "no image for mdb002 in films" in said("data", "preview", "films")
    shutil.copy(Path("films/mdb003.pgm"), "films/mdb900.pgm")
    shutil.copy(phantom / "mdb002.pgm", "films")
    assert "no row for mdb900" in said("data", "preview", "films")
    Path("films/mdb900.pgm").unlink()
    with Path("films/mdb002.pgm").open("wb") as file:
        file.truncate(289 * 2**20)
    assert f"at most {288 * 2**20} bytes in a file" in said("data", "check", "films")
    big = np.repeat(np.repeat(film, 2, axis=0), 2, axis=1)
    Path("films/mdb002.pgm").write_bytes(b"P5\n256 256\n255\n" + big.tobytes())
    assert "wrong-size: mdb002" in said("data", "check", "films")
    audit = typed(capsys, "data", "audit", "--data", "films", "--no-permutation")
    assert "films of one size; found 128 × 128" in audit.err
    (Path("films") / "a").mkdir()
    shutil.copy(phantom / "mdb001.pgm", "films/a/mdb002.pgm")
    assert "mdb002 as a/mdb002.pgm and, with other bytes" in said("data", "check", "films")
    Path("films/a/cases.csv").touch()
    assert "a/cases.csv in films. Point --data at" in said("data", "check", "films")
    for name in ("cases.csv", "Cases.csv"):
        (Path("films") / name).write_text("image,patient,label\nmdb001.pgm,p,N\nmdb003.pgm,q,M\n")
    assert "found Cases.csv and cases.csv in films" in said("data", "check", "films")
    assert "either a cases.csv or --info" in said("data", "check", "films/cases.csv", "--info", phantom / "Info.txt")
    Path("two").mkdir()
    for name in ("a.zip", "b.zip"):
        (Path("two") / name).write_bytes(nested(1))
    assert "2, a.zip and b.zip among them" in said("data", "check", "two")
    assert "File name too long" in said("data", "check", "x" * 300)
    assert "a place to write the sheet" in said("data", "preview", phantom, "--out", "two/a.zip/sheet.png")


def test_mias_in_another_size_or_with_other_labels(film, workspace, capsys):
    """The names alone: of the films only the first is looked at."""
    for number in range(1, 323):
        (workspace / f"mdb{number:03d}.pgm").write_bytes(b"P5")
    (workspace / "Info.txt").write_text("\n".join(f"mdb{number:03d} G NORM" for number in range(1, 323)))
    for size, words in ((128, "128 × 128 at mdb001"), (1024, "the truth table that MIAS published")):
        (workspace / "mdb001.pgm").write_bytes(b"P5\n%d %d\n255\n" % (size, size) + bytes(size**2))
        (line,) = typed(capsys, "data", "preview", "own").error_lines
        assert words in line
    assert "labels: Info.txt: another label" in typed(capsys, "data", "check", "own").err


def test_crops_need_a_place(film, workspace, capsys):
    for number in range(18):
        picture = np.roll(film, number, axis=0)
        (workspace / f"{number:02}.pgm").write_bytes(b"P5\n128 128\n255\n" + picture.tobytes())
    list_all(workspace)
    answer = typed(
        capsys, "data", "audit", "--data", "own", "--mode", "roi", "--no-permutation", "--set", "split.folds=2"
    )
    assert "lesions with a position among the development patients" in answer.err
