"""Every packaging of one set is the same set."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from mammo_data import DataError, PreparationSettings, load_cases, open_source, prepare, write_phantom
from tests.support.packagings import (
    PACKAGINGS,
    SAME_BYTES,
    class_folders,
    converted,
    files_of,
    put,
    scans_h5,
    tar_bytes,
    zip_bytes,
)

SMALL = PreparationSettings(image_size=64)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_phantom(tmp_path_factory.mktemp("set") / "images", patients=20, image_size=96, seed=3)
    (folder / "Licence.txt").write_text("none")
    return folder


@pytest.mark.parametrize("packaging", PACKAGINGS)
def test_the_same_cases_and_the_same_prepared_bytes(packaging: str, small: Path, tmp_path: Path) -> None:
    source = open_source(PACKAGINGS[packaging](small, tmp_path / "set"))
    original = open_source(small)
    assert load_cases(source) == load_cases(original)
    found = prepare(source, SMALL, tmp_path / "cache")
    expected = prepare(original, SMALL, tmp_path / "original")
    np.testing.assert_array_equal(found.images, expected.images)
    assert found.table == expected.table
    assert (source.fingerprint == original.fingerprint) == (packaging in SAME_BYTES)
    same_films = packaging in SAME_BYTES or "kaggle" in packaging or "h5" in packaging  # with truth tables of their own
    assert (source.films_fingerprint == original.films_fingerprint) == same_films
    backwards = [source.read(image_id) for image_id in reversed(source.image_ids)]
    assert backwards == [data for _, data in sorted(source.stream(), reverse=True)]


def test_jpegs_give_the_same_cases_and_nearly_the_same_pixels(small: Path, tmp_path: Path) -> None:
    source = open_source(converted(small, tmp_path / "set", ".jpg"))
    assert load_cases(source) == load_cases(open_source(small))
    found, expected = (prepare(s, SMALL, tmp_path / "cache").images for s in (source, open_source(small)))
    assert np.abs(found.astype(int) - expected).mean() < 3


def test_kaggles_scans_may_lack_the_places(small: Path, tmp_path: Path) -> None:
    path = scans_h5(small, tmp_path / "set", places=False)
    table = load_cases(open_source(path))
    original = load_cases(open_source(small))
    np.testing.assert_array_equal(table.labels, original.labels)
    assert all(finding.x is None for case in table.cases for finding in case.findings)
    assert load_cases(open_source(path, small / "Info.txt")) == original


@pytest.mark.parametrize("kind", ["folder", "tar.gz", "zip"])
def test_the_truth_table_may_be_named_or_lie_beside(kind: str, small: Path, tmp_path: Path) -> None:
    files = files_of(small)
    truth = files.pop("Info.txt")
    (tmp_path / "truth.txt").write_bytes(truth)
    if kind == "folder":
        path = put(tmp_path / "set", files)
    else:
        path = tmp_path / f"set.{kind}"
        path.write_bytes(tar_bytes(files) if kind == "tar.gz" else zip_bytes(files))
    with pytest.raises(DataError, match="--info"):
        open_source(path)
    expected = load_cases(open_source(small))
    assert load_cases(open_source(path, tmp_path / "truth.txt")) == expected
    if kind != "folder":
        (tmp_path / "INFO.TXT").write_bytes(truth)
        assert load_cases(open_source(path)) == expected


@pytest.mark.parametrize(
    "name",
    ["mdb001lm.pgm", "MIASDBv1.21/mdb001rs.pgm", "mdb{:03d}ll.png", "MIAS v1.21/films/film{:03d}.tif"],
)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_the_fifty_micron_release_is_refused_with_the_reason(kind: str, name: str, tmp_path: Path) -> None:
    files = {name.format(number): b"x" for number in range(1, 9)} | {"Info.txt": b"mdb001 G NORM\n"}
    path = put(tmp_path / "set", files)
    if kind == "zip":
        path = put(tmp_path, {"apollo.zip": zip_bytes(files)}) / "apollo.zip"
    with pytest.raises(DataError, match=r"50 µm release v1\.21.*frame and truth table differ.*data fetch"):
        open_source(path)


@pytest.mark.parametrize("names", [["mdb{0:03d}_rot{1}.png"], ["benign/benign_{0}_{1}.jpg", "aug/{0}-{1}.jpeg"]])
@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_a_set_augmented_before_the_split_is_refused_with_the_reason(
    kind: str, names: list[str], small: Path, tmp_path: Path
) -> None:
    files = {name.format(number, turn): b"x" for name in names for number in range(1, 41) for turn in range(30)}
    files |= files_of(small)
    path = put(tmp_path / "set", files)
    if kind == "tar":
        path = put(tmp_path, {"set.tar": tar_bytes(files, "w")}) / "set.tar"
    with pytest.raises(DataError, match=r"leak from training into test.*original 322"):
        open_source(path)


def test_a_few_other_images_beside_the_films_do_no_harm(small: Path, tmp_path: Path) -> None:
    strays = {"contact_sheet.png": b"x", "._mdb001.pgm": b"x", ".old/mdb001.pgm": b"x"}
    path = put(tmp_path / "set", files_of(small) | strays)
    source = open_source(path)
    assert load_cases(source) == load_cases(open_source(small))
    assert source.others == ("contact_sheet.png",)


def test_two_archives_in_a_folder_are_not_guessed_between(small: Path, tmp_path: Path) -> None:
    archive = tar_bytes(files_of(small))
    with pytest.raises(DataError, match=r"a\.tar\.gz and b\.tar\.gz"):
        open_source(put(tmp_path / "set", {"a.tar.gz": archive, "b.tar.gz": archive}))


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_copies_with_other_bytes_are_refused(kind: str, small: Path, tmp_path: Path) -> None:
    files = files_of(small)
    files["benign/mdb002.pgm"] = files["mdb001.pgm"]
    path = put(tmp_path / "set", files)
    if kind == "zip":
        path = put(tmp_path, {"set.zip": zip_bytes(files)}) / "set.zip"
    with pytest.raises(DataError, match=r"mdb002\.pgm and, with other bytes, as benign/mdb002\.pgm|benign/mdb002"):
        open_source(path)


@pytest.mark.mias
@pytest.mark.slow
@pytest.mark.parametrize("packaging", sorted(PACKAGINGS))
def test_every_packaging_of_the_real_set(packaging: str, mias_archive: Path, tmp_path: Path) -> None:
    from tests.support.packagings import remove

    folder = tmp_path / "real"
    folder.mkdir()
    with tarfile.open(mias_archive) as archive:
        archive.extractall(folder, filter="data")
    original = open_source(mias_archive)
    source = open_source(PACKAGINGS[packaging](folder, tmp_path / "set"))
    assert load_cases(source) == load_cases(original)
    found = prepare(source, PreparationSettings(image_size=224), tmp_path / "cache")
    expected = prepare(original, PreparationSettings(image_size=224), tmp_path / "original")
    np.testing.assert_array_equal(found.images, expected.images)
    assert found.table == expected.table
    # Pixels of the real set stay nowhere, not even until pytest clears its folders.
    remove(tmp_path)


@pytest.mark.mias
@pytest.mark.slow
def test_the_real_set_in_class_folders_has_mdb144_in_two(mias_archive: Path, tmp_path: Path) -> None:
    from tests.support.packagings import remove

    folder = tmp_path / "real"
    folder.mkdir()
    with tarfile.open(mias_archive) as archive:
        archive.extractall(folder, filter="data")
    source = open_source(class_folders(folder, tmp_path / "set"))
    assert source.paths("mdb144") == ("benign/mdb144_benign.pgm", "malignant/mdb144_malignant.pgm")
    assert load_cases(source) == load_cases(open_source(mias_archive))
    assert source.fingerprint == open_source(mias_archive).fingerprint
    remove(tmp_path)
