"""Every message about a table, as the command line gives it: cases.csv, Info.txt, split.csv, data.classes."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from mammo_data import decode_grey, load_cases, open_source
from tests.support.command_line import typed

HEADER = "image,patient,label"
DRY = ("run", "--dry-run", "--weights", "random", "--backbone", "bit-small", "--set", "split.folds=3", "--data")


def rows(*labels: str, patients: str = "p{}") -> str:
    return "\n".join([HEADER, *(f"{n}.png,{patients.format(n)},{label}" for n, label in enumerate(labels))])


CASES = {
    "": "found no image in",
    HEADER: "Expected a line for each image; found none",
    f"{HEADER},birads\n0.png,p0,N,1": "'birads' in",
    f"{HEADER},label\n0.png,p0,N,M": "a column twice",
    f",{HEADER}\n0,0.png,p0,N": "a column without a name (a row's number?)",
    f'{HEADER}\n0.png,"p0"x,N': "Expected a CSV table",
    f"{HEADER}\n0.png,p\u200b0,N": "printable text of at most 500 characters; found 'p\\u200b0' in line 2",
    rows("N", "N", "N"): "2 to 20 classes; found one label in ",
    rows("N", "Normal", "M"): "'N' in line 2 and 'Normal' in line 3",
    f"{HEADER},split\n0.png,p0,N,left\n1.png,p1,M,": "a split of test, training",
    f"{HEADER},split\n0.png,p0,N,test\n1.png,p0,M,train": "patient 'p0' on one side, test as in line 2",
    # Numbers and their words.
    rows("1 cancer", "2 healthy"): "found '1 cancer' before '2 healthy'",
    rows("1.cancer", "2.healthy"): "found '1.cancer' before '2.healthy'",
    rows("1=malignant", "2=normal"): "found '1=malignant' before '2=normal'",
    rows("(1) M", "(2) N"): "found '(1) M' before '(2) N'",
    rows("0", "1", "9"): "found '9' in line 4 of",
    rows("0", "1", "999"): '"# classes: 0, 1, 999" as the first line',
    # Ids.
    rows("N", "M", patients="P{}_L").replace("P1_L", "P0_R"): "'P0_L' in line 2 and 'P0_R' in line 3",
    rows("N", "M", patients="{}R").replace("1R", "0L-MLO"): "'0R' in line 2 and '0L-MLO' in line 3",
    rows("N", "M", patients="P\u20137").replace("1.png,P\u2013", "1.png,P-"): "'P-7' in line 3",
    rows("N", "M", patients="1.2345{}E+11"): "in full; a spreadsheet has rounded it; found '1.23450E+11'",
    rows("N", "M", patients="Anonymised"): "a patient's id; found 'Anonymised' in line 2",
    # Files.
    rows("N", "M", "N").replace("2.png", "3.png"): "the image that line 4 of cases.csv lists; found no 3.png in",
    rows("N", "M", "N").replace("2.png", "2.PNG"): "found no 2.PNG, but 2.png, in",
    rows("N", "M").replace(".png", ".tif"): "found none of 2, for example no 0.tif in",
}  # fmt: skip
INFOS = {
    "prose only": "found none in the truth table",
    "mdb001 G NORM 5": "nothing after NORM",
    "mdb001 G LUMP B": "one of ARCH, ASYM, CALC, CIRC, MISC, SPIC, NORM as the class",
    "mdb001 G CIRC B 5 5": "x, y and radius in whole pixels, or *NOTE 3*",
    "mdb001 G CIRC B 5 5 900": "a circle within 128 \u00d7 128 pixels",
    "mdb001 G CIRC B\nmdb001 F CIRC M": "tissue G as in the other row of mdb001",
    "mdb001 G CIRC B\nmdb001 G NORM": "mdb001 to be either NORM or abnormal, not both",
    "mdb001 G NORM\nROWS-SHA-256: 00": "rows with the SHA-256 00\u2026 that Info.txt states",
    "mdb001 G NORM": "missing",
}
SPLIT = "image_id,patient_id,label,side,seed"
SPLITS = {
    "patient_id,side\np1,test": "no column 'seed'",
    SPLIT: "no line of an image",
    f"{SPLIT}\na,p1,x,test": "5 cells; found 4 in line 2",
    f"{SPLIT}\na,,x,test,0": "a patient's id; found none in line 2",
    f'{SPLIT}\na,"p"1,x,test,0': "another kind of file (Error)",
    f"{SPLIT}\na,p001,x,test,0\nb,p002,x,2,0": "folds [2] in",
    f"{SPLIT}\na,p001,x,test,0\nb,p002,x,0,0": "30 that it lacks and 0 that are not there",
}


@pytest.fixture(scope="module")
def films(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, source = tmp_path_factory.mktemp("films"), open_source(phantom)
    for number, image_id in enumerate(source.image_ids[:3]):
        cv2.imwrite(str(folder / f"{number}.png"), decode_grey(source.read(image_id), image_id))
    return folder


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def only_line(answer: object, code: int = 3) -> str:
    assert answer.code == code, answer.out + answer.err
    (line,) = answer.error_lines
    return line


@pytest.mark.parametrize("text", CASES, ids=CASES.values())
def test_a_mistake_of_a_cases_csv(text, films, capsys):
    (films / "cases.csv").write_text(text, encoding="utf-8")
    assert CASES[text] in typed(capsys, "data", "check", films).err


@pytest.mark.parametrize("text", INFOS, ids=INFOS.values())
def test_a_mistake_of_an_info_txt(text, phantom, capsys, tmp_path):
    (tmp_path / "Info.txt").write_text(text)
    answer = typed(capsys, "data", "check", phantom, "--info", "Info.txt")
    assert INFOS[text] in (only_line(answer) if text != "mdb001 G NORM" else "missing" if answer.code else "")


@pytest.mark.parametrize("text", SPLITS, ids=SPLITS.values())
def test_a_mistake_of_a_split(text, phantom, capsys, tmp_path):
    (tmp_path / "split.csv").write_text(text)
    answer = typed(capsys, *DRY, phantom, "--split", "split.csv")
    assert SPLITS[text] in only_line(answer, 2 if "lacks" in SPLITS[text] else 3)


def test_a_split_that_is_none_or_has_other_parts(phantom, capsys, tmp_path):
    assert "No such file" in only_line(typed(capsys, *DRY, phantom, "--split", "gone.csv"))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\0")
    assert "a NUL byte at offset 2" in only_line(typed(capsys, *DRY, phantom, "--split", "binary.csv"))
    patients = sorted(set(load_cases(open_source(phantom)).patient_ids))
    for sides, words in (("012", "to name test patients; found none"), ("t01", "split.folds = 3 folds; found 2")):
        lines = [f"x,{patient},y,{sides[n % 3].replace('t', 'test')},0" for n, patient in enumerate(patients)]
        (tmp_path / "split.csv").write_text("\n".join([SPLIT, *lines]))
        assert words in only_line(typed(capsys, *DRY, phantom, "--split", "split.csv"), 2)


def test_a_table_that_is_no_text_and_a_run_on_what_check_refuses(films, capsys):
    (films / "cases.csv").write_bytes(b"image,patient,label\n0.png,M\xfcller,N\n")
    assert "found byte 0xfc at offset 27" in only_line(typed(capsys, "data", "check", films))
    (films / "cases.csv").write_text(rows("N", "M", "N"))
    assert "2 of 'N'" in only_line(typed(capsys, *DRY, films)) or "at least 3" in typed(capsys, *DRY, films).err


def test_a_hold_out_of_the_table_s_own_has_every_class(films, capsys):
    labels = ["N", "M", "B"]
    for suffix in "abcd":
        for number in range(3):
            (films / f"{number}{suffix}.png").write_bytes((films / f"{number}.png").read_bytes())
    lines = [
        f"{number}{suffix}.png,p{number}{suffix}1,{labels[number]},{'test' if suffix == 'a' and number != 1 else ''}"
        for suffix in "abcd"
        for number in range(3)
    ]
    (films / "cases.csv").write_text("\n".join([f"{HEADER},split", *lines]))
    line = only_line(typed(capsys, *DRY, films))
    assert "both sides of M versus rest among the held-out patients; found no 'M' in the 2 images given" in line
    (films / "cases.csv").write_text(
        "\n".join([f"{HEADER},split", *(line + "test" for line in lines)]).replace("testtest", "test")
    )
    assert "3 more for 3 folds" in only_line(typed(capsys, *DRY, films))


def test_the_order_that_the_settings_state_is_known_to_check_and_preview(films, capsys, tmp_path):
    (films / "cases.csv").write_text(rows("cyst", "mass", "cyst"))
    (tmp_path / "tuner_config.toml").write_text(f'[data]\npath = "{films}"\nclasses = ["cyst", "mass"]\n')
    assert "cyst, mass; primary endpoint: mass versus rest" in typed(capsys, "data", "check").out
    assert typed(capsys, "data", "preview").code == 0
    stated = typed(capsys, "data", "check", films, "--set", 'data.classes=["mass", "cyst"]')
    assert "cyst versus rest" in stated.out
