from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo_data import (
    DataError,
    PreparationSettings,
    PreparedSet,
    check,
    decode_grey,
    load_cases,
    open_source,
    parse_cases,
    patient_split,
    prepare,
)
from mammo_data.truth.class_words import KNOWN_WORDS
from tests.support.case_folders import write_case_folder, write_dicom

HEADER = "image,patient,label,tissue,finding,x,y,radius,split\n"


def test_films_of_four_formats_and_two_sizes_give_what_the_flat_folder_gives(phantom: Path, tmp_path: Path) -> None:
    folder = write_case_folder(phantom, tmp_path / "own")
    source, original = open_source(folder), open_source(phantom)
    table = load_cases(source)
    np.testing.assert_array_equal(table.labels, load_cases(original).labels)
    assert table.class_names == ("normal", "benign", "malignant")
    small = PreparationSettings(image_size=64)
    found, expected = prepare(source, small, tmp_path / "a"), prepare(original, small, tmp_path / "b")
    # Depths round differently and larger films are cropped more finely, so nearly the same it is.
    assert np.abs(found.images.astype(int) - expected.images).mean() < 3
    assert PreparedSet.load(found.directory).table == found.table
    assert open_source(folder / "cases.csv").fingerprint == source.fingerprint


def test_the_check_knows_such_sets(phantom: Path, tmp_path: Path) -> None:
    report = check(open_source(write_case_folder(phantom, tmp_path / "own")))
    assert {problem.kind for problem in report.problems} == {"unlocatable"}, "the phantom's planted circle"
    assert not report.mias


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_dicom_files_are_read_at_their_depth(bits: int, photometric: str, tmp_path: Path) -> None:
    film = np.linspace(0, 2**bits - 1, 48).astype(np.uint16).reshape(6, 8)
    write_dicom(tmp_path / "a.dcm", film, bits=bits, photometric=photometric)
    pixels = decode_grey((tmp_path / "a.dcm").read_bytes(), "a")
    expected = film / (2**bits - 1) * 255
    np.testing.assert_allclose(pixels, 255 - expected if photometric == "MONOCHROME1" else expected, atol=0.51)


def test_a_damaged_dicom_file_is_one_line(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", np.zeros((9, 9), np.uint16), bits=12)
    data = (tmp_path / "a.dcm").read_bytes()
    for damaged in (data[:-20], data[:200], data.replace(b"\x09\x00", b"\xff\xff")):
        with pytest.raises(DataError, match="film") as caught:
            decode_grey(damaged, "film")
        assert "\n" not in str(caught.value)


def test_the_tables_own_test_patients_are_held_out(phantom: Path, tmp_path: Path) -> None:
    table = load_cases(open_source(write_case_folder(phantom, tmp_path / "own", split=True)))
    wanted = {case.patient_id for case in table.cases if case.side == "test"}
    split = patient_split(table, folds=3, seed=5)
    assert set(split.test_patients) == wanted
    assert len({patient for fold in split.folds for patient in fold}) == len(set(table.patient_ids)) - len(wanted)
    inner = patient_split(table, test_fraction=0, folds=3)
    assert not inner.test_patients


def test_a_patient_on_two_sides_is_refused() -> None:
    text = HEADER + "a.png,p,normal,,,,,,test\nb.png,p,cancer,,,,,,train\nc.png,q,normal,,,,,,train\n"
    with pytest.raises(DataError, match="patient 'p' on one side"):
        patient_split(parse_cases(text).table)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["malignant", "Normal", "benign"], ("Normal", "benign", "malignant")),
        (["positive", "negative"], ("negative", "positive")),
        (["10", "2", "1"], ("1", "2", "10")),
        (["BI-RADS 5", "BI-RADS 1", "BI-RADS 4", "BI-RADS 2", "BI-RADS 3"], tuple(f"BI-RADS {n}" for n in range(1, 6))),
        (["0 normal", "2 cancer", "1 cyst"], ("0 normal", "1 cyst", "2 cancer")),
        (["BI-RADS 4", "BI-RADS 4b", "BI-RADS 4A"], ("BI-RADS 4", "BI-RADS 4A", "BI-RADS 4b")),
        (["M", "N", "B"], ("N", "B", "M")),
        (["Cancer", "Healthy"], ("Healthy", "Cancer")),
        (["CANCER", "Non-Cancer"], ("Non-Cancer", "CANCER")),
        (["cancer", "no_cancer"], ("no_cancer", "cancer")),
        (["MALIGNANT", "BENIGN_WITHOUT_CALLBACK"], ("BENIGN_WITHOUT_CALLBACK", "MALIGNANT")),
        (["BENIGN_WITHOUT_CALLBACK", "MALIGNANT", "BENIGN"], ("BENIGN", "MALIGNANT")),
        (["abnormal", "normal"], ("normal", "abnormal")),
    ],
)
def test_classes_are_ordered_from_harmless_to_worst(labels: list[str], expected: tuple[str, ...]) -> None:
    rows = "".join(f"{n}.png,p{n},{label}\n" for n, label in enumerate(labels))
    assert parse_cases("image,patient,label\n" + rows).table.class_names == expected


def labelled(labels: list[str]) -> str:
    return "image,patient,label\n" + "".join(f"{n}.png,p{n},{label}\n" for n, label in enumerate(labels))


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["normal", "mass", "cancer", "mass"], "'mass' in lines 3, 5"),
        (["normal", "malignent"], "'malignent' in line 3"),
        (["a", "c"], "'a' in line 2; 'c' in line 3"),
        (["benign", "malignant", "nan"], "'nan' in line 4"),
        (["normal", "unknown", "cancer"], "'unknown' in line 3"),
        (["normal", "-", "cancer"], "'-' in line 3"),
        (["BI-RADS 1", "BI-RADS 5", "BI-RADS 0"], "'BI-RADS 0' in line 4"),
        (["BI-RADS 1", "BI-RADS 5", "nan"], "'nan' in line 4"),
        (["0 normal", "1 cancer", "2 unknown"], "'2 unknown' in line 4"),
        (["0", "1", "-1"], "'-1' in line 4"),
        (["0", "1", "malignant"], "'0' in line 2; '1' in line 3"),
        (["normal", "c1", "c2", "c3", "c4", "c5", "c6"], "and 1 words more"),
        (["normal", *["mass"] * 9], "'mass' in lines 3, 4, 5, 6, 7 and 4 more"),
        (["0 malignant", "1 benign"], "'0 malignant' before '1 benign'"),
    ],
)
def test_an_order_of_classes_is_never_guessed(labels: list[str], found: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_cases(labelled(labels))
    assert found in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["normal", "healthy", "cancer"], "'normal' in line 2 and 'healthy' in line 3"),
        (["N", "normal", "B"], "'N' in line 2 and 'normal' in line 3"),
        (["normal", "malignant", "cancer"], "'malignant' in line 3 and 'cancer' in line 4"),
        (["no cancer", "cancer", "No_Cancer"], "'no cancer' in line 2 and 'No_Cancer' in line 4"),
        (["0", "1", "1.0"], "'1' in line 3 and '1.0' in line 4"),
    ],
)
def test_two_words_for_one_class_are_refused(labels: list[str], found: str) -> None:
    with pytest.raises(DataError, match="one word for each class") as caught:
        parse_cases(labelled(labels))
    assert found in str(caught.value)


def test_the_worst_of_several_lines_is_not_the_last_of_the_alphabet() -> None:
    table = parse_cases("image,patient,label\na.png,1,M\na.png,1,N\nb.png,2,N\nc.png,3,B\n").table
    assert [case.label for case in table.cases] == ["M", "N", "B"]


def test_an_image_of_both_benign_words_is_benign() -> None:
    rows = ("a.png,1,benign_without_callback,mass", "b.png,2,benign,mass", "c.png,3,cancer,mass")
    text = "\n".join(("image,patient,label,finding", *rows))
    table = parse_cases(text).table
    assert [case.label for case in table.cases] == ["benign", "benign", "cancer"]
    assert table.cases[0].findings[0].severity == "benign"


def test_a_stated_order_goes_before_the_words() -> None:
    stated = ("normal", "cyst", "mass", "cancer")
    listed = parse_cases(labelled(["Cancer", "mass", "NORMAL"]), classes=stated)
    assert listed.table.class_names == ("normal", "mass", "cancer")
    assert [case.label for case in listed.table.cases] == ["cancer", "mass", "normal"]
    with pytest.raises(DataError, match="'benign' in line 3"):
        parse_cases(labelled(["cancer", "benign"]), classes=stated)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_however_it_is_spelled_no_known_word_stands_below_a_milder_one(data: st.DataObject) -> None:
    ranks = data.draw(st.permutations(range(len(KNOWN_WORDS))))[: data.draw(st.integers(2, len(KNOWN_WORDS)))]
    words = {rank: data.draw(st.sampled_from(KNOWN_WORDS[rank])) for rank in ranks}
    spelled = {
        rank: data.draw(st.sampled_from([word, word.upper(), word.title(), word.replace(" ", "_")]))
        for rank, word in words.items()
    }
    assert parse_cases(labelled(list(spelled.values()))).table.class_names == tuple(spelled[k] for k in sorted(spelled))


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_understood(separator: str) -> None:
    text = HEADER + "a.png,p,benign,G,CIRC,5,6,2,\nb.png,q,normal,G,,,,,\n"
    assert parse_cases("\n" + text.replace(",", separator)) == parse_cases(text)


def test_a_table_of_a_spreadsheet_in_utf_16_is_the_same(phantom: Path, tmp_path: Path) -> None:
    folder = write_case_folder(phantom, tmp_path / "set")
    table = load_cases(open_source(folder))
    text = (folder / "cases.csv").read_text()
    (folder / "cases.csv").write_bytes(("\ufeff" + text.replace(",", "\t")).encode("utf-16-be"))
    assert load_cases(open_source(folder)) == table


def test_several_lines_an_image_are_its_findings() -> None:
    text = HEADER + "a.png,p,benign,G,CIRC,5,6,2,\na.png,p,malignant,G,SPIC,9,9,1.5,\nb.png,p,normal,G,,,,,\n"
    listed = parse_cases(text)
    first, second = listed.table.cases
    assert first.label == "malignant"
    assert [finding.radius for finding in first.findings] == [2.0, 1.5]
    assert (second.findings, listed.files["b"]) == ((), "b.png")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "image,patient\na,b\n",
        "image,patient,label,colour\na,b,c,d\n",
        "image,image,patient,label\na,a,b,c\n",
        HEADER,
        HEADER + "a.png,p,normal\n",
        HEADER + "a.png,,normal,,,,,,\n",
        HEADER + "../a.png,p,normal,,,,,,\nb.png,q,benign,,,,,,\n",
        HEADER + "/etc/passwd,p,normal,,,,,,\nb.png,q,benign,,,,,,\n",
        HEADER + "a.png,p,normal,,,,,,\n",
        HEADER + "a.png,p,normal,,,1,2,,\nb.png,q,benign,,,,,,\n",
        HEADER + "a.png,p,normal,,,1,2,nan,\nb.png,q,benign,,,,,,\n",
        HEADER + "a.png,p,normal,,,1,2,-3,\nb.png,q,benign,,,,,,\n",
        HEADER + "a.png,p,normal,,,1,inf,3,\nb.png,q,benign,,,,,,\n",
        HEADER + "a.png,p,normal,,,,,,maybe\nb.png,q,benign,,,,,,\n",
        HEADER + "a.png,p,normal,,,,,,\na.png,q,benign,,,,,,\n",
        HEADER + '"a.png,p,normal,,,,,,\n',
        HEADER + "a.png,p,nor\x1bmal,,,,,,\nb.png,q,benign,,,,,,\n",
        HEADER + "a.png,p,Normal,,,,,,\nb.png,q,normal,,,,,,\nc.png,r,benign,,,,,,\n",
        HEADER + "a.png,p7,normal,,,,,,\nb.png,P7,benign,,,,,,\n",
    ],
)
def test_a_table_that_cannot_be_understood_is_one_line(text: str) -> None:
    with pytest.raises(DataError, match=r"cases\.csv") as caught:
        parse_cases(text)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_a_listed_image_that_is_not_there_is_named(phantom: Path, tmp_path: Path) -> None:
    folder = write_case_folder(phantom, tmp_path / "own")
    (folder / "films" / "mdb004.dcm").unlink()
    with pytest.raises(DataError, match=r"films/mdb004\.dcm"):
        open_source(folder)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=200), head=st.booleans())
def test_any_text_is_a_table_or_refused(text: str, head: bool) -> None:
    try:
        listed = parse_cases(HEADER + text if head else text)
    except DataError:
        return
    assert len(listed.table.class_names) >= 2
