from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo_data import DataError, Split, parse_cases
from mammo_data.truth.patient_key import patient_key

COMPOSED, DECOMPOSED = "M\u00fcller", "Mu\u0308ller"


def table(*patients: str) -> str:
    rows = (f"{n}.png,{patient},{('normal', 'cancer')[n % 2]}\n" for n, patient in enumerate(patients))
    return "image,patient,label\n" + "".join(rows)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("p7", "P7"),
        ("stra\u00dfe", "STRASSE"),
        ("P 7", "P7"),
        ("P-7", "P7"),
        ("'007", "7"),
        ("Ay\u015f\u0131n", "AY\u015eIN"),
        ("\u0130pek", "ipek"),
        ("Anna  B", "Anna B"),
        (COMPOSED, DECOMPOSED),
        ("1", "001"),
        ("0", "00"),
        ("P_00016", "P_16"),
        ("A7-03", "A7-3"),
        ("10006", "10006.0"),
        ("010006", "10006."),
        ("10006", "1.0006e+04"),
        ("12.5", "12.50"),
        ("\uff17", "7"),
    ],
)
def test_two_spellings_of_one_patient_are_refused_with_their_lines(first: str, second: str) -> None:
    for one, other in ((first, second), (second, first)):
        with pytest.raises(DataError, match="one spelling of each patient") as caught:
            parse_cases(table("q", one, "r", other))
        assert "in line 3 and" in str(caught.value)
        assert "in line 5 of cases.csv" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_the_error_shows_both_spellings_even_where_they_look_alike() -> None:
    with pytest.raises(DataError, match=r"'P7' in line 2 and 'p07' in line 4"):
        parse_cases(table("P7", "q", "p07"))
    with pytest.raises(DataError) as caught:
        parse_cases(table(COMPOSED, DECOMPOSED))
    assert repr(COMPOSED) in str(caught.value)
    assert "'Mu\\u0308ller'" in str(caught.value)


def test_spaces_around_an_id_do_not_count() -> None:
    listed = parse_cases("image,patient,label\na.png, P7 ,normal\nb.png,P7,cancer\n")
    assert set(listed.table.patient_ids) == {"P7"}


@pytest.mark.parametrize(
    "patients",
    [
        ("1", "10", "100", "101"),
        ("P1", "P10", "Q1"),
        ("10.1", "10.01", "101"),
        ("1-12", "11-2"),
        ("a", "\u00e4"),
        ("1e5", "1e6"),
        ("0", "P0", "P"),
    ],
)
def test_other_patients_stay_others(patients: tuple[str, ...]) -> None:
    assert parse_cases(table(*patients)).table.patient_ids == patients


def test_a_split_with_two_spellings_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "split.csv"
    file.write_text("image_id,patient_id,label,side,seed\na,001,normal,test,0\nb,1,normal,0,0\n")
    with pytest.raises(DataError, match=r"two spellings of one patient, '001' and '1'"):
        Split.read_csv(file)


@settings(max_examples=200, deadline=None)
@given(
    name=st.text(st.characters(categories=["Lu", "Ll", "Lo"]), min_size=1, max_size=6),
    number=st.integers(0, 10**9),
    zeros=st.integers(0, 5),
    form=st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]),
)
def test_what_programs_change_in_an_id_changes_no_key(name: str, number: int, zeros: int, form: str) -> None:
    assert patient_key(unicodedata.normalize(form, f" {name} {'0' * zeros}{number} ")) == patient_key(f"{name}{number}")
    assert patient_key(f"{'0' * zeros}{number}") == patient_key(f"{number}.0") == patient_key(f"{number}")
    assert patient_key(f"{name}{number}") != patient_key(f"{name}{number + 1}")
