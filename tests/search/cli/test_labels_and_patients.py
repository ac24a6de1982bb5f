"""What is said of a table of one's own: its classes, its patients, and all of its mistakes in one go."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from mammo_data import decode_grey, load_cases, open_source
from tests.support.command_line import typed


@pytest.fixture(scope="module")
def films(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty films of fifteen women, without a table."""
    folder = tmp_path_factory.mktemp("films")
    source = open_source(phantom)
    for number, image_id in enumerate(source.image_ids[:30]):
        cv2.imwrite(str(folder / f"{number}.png"), decode_grey(source.read(image_id), image_id))
    assert len(load_cases(source)) >= 30
    return folder


def written(films: Path, labels: str, *, patients: int = 15, first: str = "", spell: str = "p{}") -> Path:
    """A cases.csv: of each class in turn, so many women, one after the other."""
    words = labels.split()
    rows = [f"{n}.png,{spell.format(n * patients // 30)},{words[n * patients // 30 % len(words)]}" for n in range(30)]
    (films / "cases.csv").write_text("\n".join([*([first] if first else []), "image,patient,label", *rows]) + "\n")
    return films


DRY = ("run", "--dry-run", "--weights", "random", "--backbone", "bit-small", "--set", "split.folds=3")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_classes_and_the_endpoint_are_said_by_check_and_dry_run(films, capsys):
    written(films, "M N B")
    line = "N, B, M; primary endpoint: M versus rest"
    assert line in typed(capsys, "data", "check", films).out
    answer = typed(capsys, *DRY, "--data", films)
    assert answer.code == 0, answer.err
    assert line in answer.out


@pytest.mark.parametrize("way", ["settings", "table"])
def test_an_order_that_is_stated_is_taken(way, films, capsys):
    written(films, "mass cyst normal", first='"# classes: normal, cyst, mass",,' if way == "table" else "")
    stated = ("--set", 'data.classes=["Normal", "cyst", "mass"]') if way == "settings" else ()
    answer = typed(capsys, *DRY, "--data", films, *stated)
    assert answer.code == 0, answer.err
    assert "cyst, mass; primary endpoint: mass versus rest" in answer.out


@pytest.mark.parametrize(
    ("labels", "first", "stated", "words"),
    [
        (
            "normal mass",
            "",
            "",
            ["'mass' in lines 4, 5", "# classes: mass, normal", 'data.classes = ["mass", "normal"]'],
        ),
        ("benign malignent", "", "", ["'malignent' in lines 4", "did you mean 'malignant'?"]),
        ("benign malignant nan", "", "", ["'nan' in lines", "Correct those lines, or remove them."]),
        ("a b", "# classes: b; a", '["a", "b"]', ["a, b as given, and b, a in line 1"]),
        ("a b", "# classes: a", "", ["at least two classes; found 1 in the stated order a"]),
        ("a b", "# classes: a, b, A", "", ["'A' twice"]),
        ("benign cancer", "# classes: cancer, benign", "", ["harmless to worst; found 'cancer' before 'benign'"]),
        ("a b", "# classes: a, b, cancer", "", ["image of each stated class, a, b, cancer; found none of cancer in"]),
        ("a b", "", '["a", "b", "cancer"]', ["an image of each stated class, a, b, cancer; found none of cancer in"]),
        ("a b c", "# classes: a, b", "", ["labels of the stated classes a, b; found 'c' in lines"]),
    ],
)
def test_an_order_that_is_not_clear_is_refused_with_what_to_write(labels, first, stated, words, films, capsys):
    written(films, labels, first=first)
    answer = typed(capsys, *DRY, "--data", films, *(("--set", f"data.classes={stated}") if stated else ()))
    assert answer.code == 3
    (line,) = answer.error_lines
    assert [word for word in words if word not in line] == []


def test_a_class_that_is_too_small_is_named_by_check_and_refused_by_run(films, capsys):
    written(films, "0 1")
    table = films / "cases.csv"
    table.write_text(table.read_text().replace("4.png,p2,0", "4.png,p2,11"))
    assert "only 1 patient of '11': too few for a search" in typed(capsys, "data", "check", films).out
    answer = typed(capsys, *DRY, "--data", films)
    assert answer.code == 3
    assert "at least 3 patients of each class" in answer.err
    assert "1 of '11' (4)" in answer.err


def test_classes_stated_for_an_info_txt_are_refused(phantom, capsys):
    answer = typed(capsys, *DRY, "--data", phantom, "--set", 'data.classes=["a", "b"]')
    assert answer.code == 2
    assert "data.classes for a set with a cases.csv only" in answer.err


def test_a_woman_an_image_is_said_aloud(films, capsys):
    written(films, "normal benign malignant", patients=30)
    said = "each of the 30 images is of a patient of its own"
    assert said in typed(capsys, "data", "check", films).out
    assert said in typed(capsys, *DRY, "--data", films).out
    written(films, "normal benign malignant")
    assert said not in typed(capsys, "data", "check", films).out


def test_a_split_whose_ids_lost_their_zeros_is_refused_with_the_reason(films, capsys, tmp_path):
    written(films, "normal benign malignant", spell="{:03}")
    lines = [f"{n},{n},x,{'test' if n % 4 == 3 else n % 3}.0,0".replace("test.0", "test") for n in range(15)]
    (tmp_path / "split.csv").write_text(
        "\n".join(["image_id;patient_id;label;side;seed"] + [x.replace(",", ";") for x in lines])
    )
    answer = typed(capsys, *DRY, "--data", films, "--split", tmp_path / "split.csv")
    assert answer.code == 2
    assert "'0' for '000' and 14 more" in answer.err
    assert "A spreadsheet drops leading zeros" in answer.err


def test_all_mistakes_of_a_table_are_told_in_one_go(films, capsys):
    rows = ["0.png,p0,normal,,,", "1.png,p1,normal", "2.png,,benign,,,", "../3.png,p3,benign,,,", "4.png,P0,massive,,,"]
    rows += ["5.png,unknown,benign,,,", "6.png,p6,benign,1,x,3", "7.png,p7,benign,1,2,-3", "0.png,p9,normal,,,"]
    (films / "cases.csv").write_text("\n".join(["image,patient,label,x,y,radius", *rows]))
    answer = typed(capsys, "data", "check", films)
    assert answer.code == 3
    wanted = {
        "6 cells; found 3 in line 3",
        "a value for patient; found none in line 4",
        "a patient's id; found 'unknown' in line 7",
        "'p0' in line 2 and 'P0' in line 6",
        "'massive' in line 6",
        "a path below the table's folder; found '../3.png' in line 5",
        "numbers for x, y and radius, or none of them; found '1 x 3' in line 8",
        "x, y and radius in pixels, 0 to 16384; found '1 2 -3' in line 9",
        "patient 'p0' as in line 2; found 'p9' in line 10",
    }
    assert {word for word in wanted if sum(word in line for line in answer.error_lines) != 1} == set()
    assert len(answer.error_lines) == len(wanted)


def test_the_first_twenty_mistakes_are_shown_and_the_others_counted(films, capsys):
    (films / "cases.csv").write_text("image,patient,label\n" + "".join(f"{n}.png,,normal\n" for n in range(27)))
    lines = typed(capsys, "data", "check", films).error_lines
    assert len(lines) == 21
    assert lines[-1].endswith("and 7 more")


@pytest.mark.parametrize("table", ["Info.txt", "split.csv"])
def test_info_and_split_tell_all_of_their_mistakes_too(table, phantom, capsys, tmp_path):
    if table == "Info.txt":
        (tmp_path / table).write_text("mdb001 G CIRC B 5 5 5\nmdb002 Q NORM\nmdb003 D CIRC\nmdb4 D NORM\n")
        answer = typed(capsys, "data", "check", phantom, "--info", tmp_path / table)
        wanted = ["a tissue (F, G or D)", "severity B or M", "a reference number such as mdb001"]
        places = ["line 2 of Info.txt", "line 3 of Info.txt", "line 4 of Info.txt"]
    else:
        rows = ["a,1,x,test,0", "b,1,x,0,0", "c,2,x,left,0", "d,01,x,1,0", "e,3,x,1,zero"]
        (tmp_path / table).write_text("\n".join(["image_id,patient_id,label,side,seed", *rows]))
        answer = typed(capsys, *DRY, "--data", phantom, "--split", tmp_path / table)
        wanted = [
            "patient 1 on one side; found two sides, test",
            "or the number of a fold",
            "a whole seed",
            "two spellings",
        ]
        places = ["line 3 of", "'left' in line 4 of", "'zero' in line 6 of", "'1' and '01', in lines 2 and 5"]
    assert answer.code == 3
    assert len(answer.error_lines) == len(wanted)
    for line, word, place in zip(answer.error_lines, wanted, places, strict=True):
        assert word in line
        assert place in line
