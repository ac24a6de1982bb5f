"""What is no film of a breast: named by whoever reads films, all of them at once and each on a line of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammo_data import DataError, PreparationSettings, check, contact_sheet, load_cases, open_source, prepare
from tests.support.case_folders import write_dicom


def film(seed: int, side: int = 160, reach: float = 0.5) -> np.ndarray:
    """float [side, side], 0 to 1: black air, a breast with the chest wall at the left."""
    y, x = np.mgrid[0:side, 0:side] / side
    grain = np.random.default_rng(seed).normal(0, 0.03, (side, side))
    return np.where(x**2 + (2 * y - 1) ** 2 < reach, np.clip(0.4 + 0.4 * x + grain, 0, 1), 0.0)


def png(path: Path, levels: np.ndarray) -> None:
    cv2.imwrite(str(path), (levels * 255).astype(np.uint8))


def unprocessed(path: Path) -> None:
    import pydicom

    write_dicom(path, (4095 * np.exp(-film(5))).astype(np.uint16), bits=12, photometric="MONOCHROME2")
    file = pydicom.dcmread(path)
    file.PresentationIntentType = "FOR PROCESSING"
    file.save_as(path)


NO_FILMS: dict[str, Callable[[Path], object]] = {
    "blank.png": lambda path: png(path, np.zeros((160, 160))),
    "inverted.png": lambda path: png(path, 1 - film(2)),
    "inverted_and_grey.png": lambda path: png(path, 0.9 - 0.8 * film(2)),
    "inverted_and_large.png": lambda path: png(path, 1 - film(2)[:, :100]),
    "dark.png": lambda path: png(path, 0.05 * film(3)),
    "tiny.png": lambda path: png(path, film(4, side=40)),
    "coloured.png": lambda path: cv2.imwrite(str(path), np.dstack([film(6) * 255, film(6) * 99, film(6) * 9])),
    "unprocessed.dcm": unprocessed,
    "page.png": lambda path: png(path, (np.random.default_rng(7).random((160, 160)) > 0.1).astype(float)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    lines = ["image,patient,label"]
    for number in range(2):
        png(folder / f"film{number}.png", film(number, reach=0.5 - 0.2 * number))
        lines.append(f"film{number}.png,w{number},{('normal', 'malignant')[number]}")
    for number, (name, write) in enumerate(NO_FILMS.items()):
        write(folder / name)
        lines.append(f"{name},p{number},{('normal', 'malignant')[number % 2]}")
    (folder / "cases.csv").write_text("\n".join(lines))
    return folder


def test_the_check_names_each_and_refuses_them_for_a_search(folder: Path) -> None:
    report = check(open_source(folder))
    assert {(problem.kind, problem.subject) for problem in report.problems} == {
        ("no-film", name.split(".")[0]) for name in NO_FILMS
    }
    with pytest.raises(DataError) as caught:
        report.require_sound()
    lines = str(caught.value).splitlines()
    assert len(lines) == len(NO_FILMS) + 1
    assert "accept_problems" not in lines[-1], "what is no film is not trained on however well its owner knows it"


def test_preparing_refuses_all_in_one_go_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        prepare(open_source(folder), PreparationSettings(image_size=64), tmp_path / "cache")
    lines = str(caught.value).splitlines()
    assert [sum(f"in {name.split('.')[0]}." in line for line in lines) for name in NO_FILMS] == [1] * len(NO_FILMS)
    assert len(lines) == len(NO_FILMS)
    assert not list((tmp_path / "cache").iterdir())


def test_the_preview_draws_the_others_and_names_them(folder: Path) -> None:
    source = open_source(folder)
    sheet, refused = contact_sheet(source, load_cases(source), side=32, columns=11)
    assert len(refused) == len(NO_FILMS)
    drawn = [sheet[4:36, 4 + 36 * column : 36 + 36 * column].max() > 30 for column in range(11)]
    assert drawn == [True, True, *[False] * len(NO_FILMS)]


def test_more_than_twenty_are_counted(tmp_path: Path) -> None:
    lines = ["image,patient,label"]
    for number in range(25):
        png(tmp_path / f"a{number}.png", np.zeros((80, 80)))
        lines.append(f"a{number}.png,p{number},{('normal', 'malignant')[number % 2]}")
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    with pytest.raises(DataError) as caught:
        prepare(open_source(tmp_path), PreparationSettings(image_size=64), tmp_path / "cache")
    assert len(str(caught.value).splitlines()) == 21
    assert str(caught.value).endswith("and 5 more")
