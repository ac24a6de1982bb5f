from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammo_data import (
    CaseTable,
    DataError,
    IntegrityReport,
    check,
    contact_sheet,
    decode_grey,
    load_cases,
    open_source,
    parse_info,
    write_contact_sheet,
)
from mammo_data.truth.mias import has_published_labels
from tests.support.packagings import class_folders


@pytest.fixture(scope="module")
def sound(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom without its planted circle in the background."""
    folder = tmp_path_factory.mktemp("sound") / "images"
    shutil.copytree(phantom, folder)
    lines = (folder / "Info.txt").read_text().splitlines()
    kept = [line.replace(" 4 4 3", "") for line in lines if "SHA-256" not in line]
    (folder / "Info.txt").write_text("\n".join(kept))
    return folder


def test_a_sound_set_has_facts_and_no_problems(sound: Path) -> None:
    report = check(open_source(sound))
    assert report.problems == ()
    assert (report.images, report.patients) == (48, 24)
    assert sum(report.labels.values()) == 48
    assert report.chest_wall == {"even left": 24, "odd right": 24}
    assert 0 < report.circles_inside <= report.circles < report.findings
    assert "no problems" in report.as_text()


def test_the_circle_that_the_phantom_puts_in_the_background_is_found(phantom: Path) -> None:
    (problem,) = check(open_source(phantom)).problems
    assert problem.kind == "unlocatable"


def pixels(folder: Path, image_id: str) -> np.ndarray:
    return decode_grey((folder / f"{image_id}.pgm").read_bytes(), image_id)


def write(folder: Path, image_id: str, film: np.ndarray) -> None:
    (folder / f"{image_id}.pgm").write_bytes(b"P5\n%d %d\n255\n" % film.shape[::-1] + film.tobytes())


def cut(folder: Path) -> None:
    (folder / "mdb007.pgm").write_bytes((folder / "mdb007.pgm").read_bytes()[:-100])


def look_alike(folder: Path) -> None:
    film = np.rot90(pixels(folder, "mdb003"))[:, ::-1]
    small = cv2.resize(np.ascontiguousarray(film), (256, 256))
    write(folder, "mdb007", cv2.GaussianBlur(small, (3, 3), 0))


DAMAGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "missing": (lambda folder: (folder / "mdb007.pgm").unlink(), "missing", "mdb007"),
    "truncated": (cut, "truncated", "mdb007"),
    "undecodable": (lambda folder: (folder / "mdb007.pgm").write_bytes(b"no film"), "undecodable", "mdb007"),
    "the first one undecodable": (lambda folder: (folder / "mdb001.pgm").write_bytes(b""), "undecodable", "mdb001"),
    "of an absurd size": (
        lambda folder: (folder / "mdb007.pgm").write_bytes(b"P5\n999999999 999999999\n255\n"),
        "undecodable",
        "mdb007",
    ),
    "of another size": (lambda f: write(f, "mdb007", pixels(f, "mdb007")[64:192]), "wrong-size", "mdb007"),
    "twice": (lambda folder: write(folder, "mdb007", pixels(folder, "mdb003")), "duplicate", "mdb007"),
    "turned, mirrored and blurred": (look_alike, "look-alike", "mdb007"),
    "unlisted": (lambda folder: write(folder, "mdb400", pixels(folder, "mdb003")[::-1] // 2), "unlisted", "mdb400"),
    "augmented": (lambda folder: (folder / "mdb003_rot45.pgm").write_bytes(b"x"), "stray-image", "mdb003_rot45.pgm"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damage_is_named(damage: str, sound: Path, tmp_path: Path) -> None:
    do, kind, subject = DAMAGES[damage]
    folder = tmp_path / "images"
    shutil.copytree(sound, folder)
    do(folder)
    problems = check(open_source(folder)).problems
    assert (kind, subject) in {(problem.kind, problem.subject) for problem in problems}
    assert {problem.kind for problem in problems} <= {kind, "look-alike"}
    assert all("expected" in problem.detail for problem in problems if problem.kind in ("truncated", "undecodable"))


def changed(sound: Path, target: Path, change: Callable[[Path], object]) -> IntegrityReport:
    shutil.copytree(sound, target)
    change(target)
    return check(open_source(target))


def test_counts_are_of_the_films_that_are_there(sound: Path, tmp_path: Path) -> None:
    def leave_three(folder: Path) -> None:
        for film in sorted(folder.glob("*.pgm"))[3:]:
            film.unlink()

    report = changed(sound, tmp_path / "three", leave_three)
    assert (report.images, report.patients, sum(report.labels.values())) == (3, 2, 3)
    assert len(report.problems) == 45


def test_what_does_no_harm_is_named_and_no_reason_to_refuse_a_run(phantom: Path, sound: Path, tmp_path: Path) -> None:
    check(open_source(sound)).require_sound()
    check(open_source(phantom)).require_sound()
    stray = changed(sound, tmp_path / "stray", lambda folder: (folder / "sheet.png").write_bytes(b"x"))
    assert [problem.kind for problem in stray.problems] == ["stray-image"]
    stray.require_sound()
    table = load_cases(open_source(sound))
    pairs = [(one, other) for one, other in pairwise(table.cases) if one.patient_id == other.patient_id]
    left, right = next((one.image_id, other.image_id) for one, other in pairs if one.label == other.label == "normal")
    twice = changed(sound, tmp_path / "twice", lambda folder: write(folder, right, pixels(folder, left)))
    assert [problem.kind for problem in twice.problems] == ["duplicate"]
    twice.require_sound()


def test_what_would_make_a_search_wrong_is_refused_with_a_line_for_each(sound: Path, tmp_path: Path) -> None:
    def damage(folder: Path) -> None:
        write(folder, "mdb007", pixels(folder, "mdb003"))
        write(folder, "mdb011", pixels(folder, "mdb005"))

    report = changed(sound, tmp_path / "set", damage)
    with pytest.raises(DataError, match=r"and 1 more problem in .*data check .*set.*accept_problems=true") as caught:
        report.require_sound()
    assert str(report.problems[0]) in str(caught.value)
    assert str(caught.value).splitlines()[:2] == [str(problem) for problem in report.problems]


def test_a_film_in_the_wrong_class_folder_is_named(sound: Path, tmp_path: Path) -> None:
    folder = class_folders(sound, tmp_path / "set")
    assert check(open_source(folder)).problems == ()
    normal = next((folder / "normal").iterdir())
    (folder / "malignant").mkdir(exist_ok=True)
    normal.rename(folder / "malignant" / normal.name.replace("normal", "malignant"))
    (problem,) = check(open_source(folder)).problems
    assert problem.kind == "mislabelled-folder"
    assert "malignant/" in problem.subject


def test_the_contact_sheet_shows_what_was_found(phantom: Path, tmp_path: Path) -> None:
    source = open_source(phantom)
    table = load_cases(source)
    placed = next(case for case in table.cases if case.findings and case.findings[0].x is not None)
    sheet, _ = contact_sheet(source, table, image_ids=[placed.image_id, "mdb003"], side=128)
    assert sheet.shape == (128 + 14 + 8, 2 * 132 + 4, 3)
    assert sheet[4:132, 4:132].std() > 10
    assert (sheet[..., 0] != sheet[..., 2]).any(), "outlines have colours"
    written = cv2.imread(str(write_contact_sheet(sheet, tmp_path / "sheet.png")))
    np.testing.assert_array_equal(written, sheet)
    everything, refused = contact_sheet(source, table, side=32, columns=10)
    assert not refused
    assert everything.shape[0] == 5 * (32 + 14 + 4) + 4


@pytest.mark.mias
def test_the_real_set_is_sound(mias_archive: Path) -> None:
    report = check(open_source(mias_archive))
    assert report.problems == ()
    assert report.mias
    assert (report.images, report.patients) == (322, 161)
    assert report.labels == {"normal": 207, "benign": 63, "malignant": 52}
    assert report.unlocatable == ("mdb059", "mdb212", "mdb214", "mdb216", "mdb233", "mdb245")
    assert report.chest_wall == {"even left": 161, "odd right": 161}
    assert report.circles == 119
    assert report.circles_inside >= 111
    assert report.matching_checksums == 322
    assert "322 of 322 images have the known SHA-256\n" in report.as_text()
    assert "not recorded" in report.as_json()["checksums_note"]
    report.require_sound()


@pytest.mark.mias
def test_the_published_labels_are_known_where_a_packaging_has_no_places(mias_archive: Path) -> None:
    """Kaggle's HDF5 file has REFNUM, BG, CLASS and SEVERITY alone."""
    rows = [line.split() for line in open_source(mias_archive).info_text.splitlines() if line.startswith("mdb")]
    bare = parse_info("\n".join(" ".join(row[:4]) for row in rows))
    assert has_published_labels(bare)
    case = next(case for case in bare.cases if case.label == "benign")
    other = replace(case, findings=(replace(case.findings[0], severity="malignant"),), label="malignant")
    assert not has_published_labels(CaseTable(tuple(other if c is case else c for c in bare.cases)))
