"""Files under the names, and behind the links, that systems and converters give them."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammo_data import DataError, image_files, load_cases, open_source
from mammo_data.sources.film_names import film_name

NAME = "films/Gr\u00f6\u00dfe/caf\u00e9.png"


def png(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.full((8, 8), level, np.uint8))[1].tobytes())


def test_linked_folders_are_looked_into_and_a_link_to_itself_ends(phantom: Path, tmp_path: Path) -> None:
    (tmp_path / "set" / "a").mkdir(parents=True)
    for path in phantom.iterdir():
        target = tmp_path / "elsewhere" / path.name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    (tmp_path / "set" / "a" / "films").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "set" / "a" / "again").symlink_to(tmp_path / "set", target_is_directory=True)
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set", target_is_directory=True)
    source = open_source(tmp_path / "set")
    assert load_cases(source) == load_cases(open_source(phantom))
    assert len(list(image_files([tmp_path / "set"]))) == 48


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
def test_names_match_in_both_unicode_forms(on_disk: str, in_table: str, tmp_path: Path) -> None:
    png(tmp_path / unicodedata.normalize(on_disk, NAME), 7)
    png(tmp_path / "b.png", 9)
    table = f"image,patient,label\n{unicodedata.normalize(in_table, NAME)},a,benign\nb.png,b,malignant\n"
    (tmp_path / "cases.csv").write_text(table, encoding="utf-8")
    source = open_source(tmp_path)
    assert source.image_ids == ("b", NAME.removesuffix(".png"))
    assert source.read(NAME.removesuffix(".png")) == (tmp_path / unicodedata.normalize(on_disk, NAME)).read_bytes()


def test_two_forms_of_one_name_are_one_image(tmp_path: Path) -> None:
    png(tmp_path / NAME, 7)
    png(tmp_path / "b.png", 9)
    lines = [f"{unicodedata.normalize(form, NAME)},a,{label}" for form, label in (("NFC", "benign"), ("NFD", "normal"))]
    table = "\n".join(["image,patient,label", *lines, "b.png,b,malignant"])
    (tmp_path / "cases.csv").write_text(table, encoding="utf-8")
    cases = load_cases(open_source(tmp_path)).cases
    assert [(case.patient_id, case.label) for case in cases] == [("a", "benign"), ("b", "malignant")]


def test_a_file_that_is_missing_in_either_form_is_named(tmp_path: Path) -> None:
    png(tmp_path / "b.png", 9)
    (tmp_path / "cases.csv").write_text(f"image,patient,label\n{NAME},a,benign\nb.png,b,malignant\n", encoding="utf-8")
    with pytest.raises(DataError, match="caf\u00e9"):
        open_source(tmp_path)


@pytest.mark.parametrize("name", ["mdb001.pgm.png", "mdb001.PGM.PNG", "mdb001.dcm.tif", "benign/mdb001_benign.pgm.jpg"])
def test_suffixes_that_converters_append_do_not_count(name: str) -> None:
    found = film_name(name)
    assert found is not None
    assert found.image_id == "mdb001"


@pytest.mark.parametrize("name", ["mdb001.rot45.png", "mdb001.1.pgm", "mdb001l.pgm.png", "mdb001.pgm.png.txt"])
def test_other_names_are_no_films(name: str) -> None:
    assert film_name(name) is None
