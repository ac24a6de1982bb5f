from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mammo_data import DataError, load_cases, open_source, parse_info
from mammo_data.truth.reading import decode_table

PROSE = "Truth-Data: C R M Boggis and I Hutt\n4th column: Severity of abnormality;\n\tB - Benign\n\tM - Malignant\n"


def test_prose_and_the_header_of_the_mirror_are_no_rows() -> None:
    table = parse_info(PROSE + "REFNUM BG CLASS SEVERITY X Y RADIUS\nmdb001 G CIRC B 535 425 197 \n")
    assert table.image_ids == ("mdb001",)


def test_y_is_turned_to_count_from_the_top() -> None:
    (finding,) = parse_info("mdb001 G CIRC B 535 425 197").cases[0].findings
    assert (finding.x, finding.y, finding.radius) == (535.0, 598.0, 197.0)
    (small,) = parse_info("mdb001 G CIRC B 53 42 19", image_height=256).cases[0].findings
    assert small.y == 213.0


def test_the_worst_finding_is_the_label_and_all_findings_stay() -> None:
    (case,) = parse_info("mdb144 F MISC B 233 994 29\nmdb144 F MISC M 313 540 27").cases
    assert case.label == "malignant"
    assert [finding.severity for finding in case.findings] == ["benign", "malignant"]


@pytest.mark.parametrize("row", ["mdb059 F CIRC B", "mdb216 D CALC M *NOTE 3* ", "mdb233 G CALC M *NOTE 3*"])
def test_findings_without_a_place_are_kept_without_one(row: str) -> None:
    (case,) = parse_info(row).cases
    assert case.label != "normal"
    assert case.findings[0].x is None


def test_odd_and_next_even_are_one_woman() -> None:
    table = parse_info("mdb001 G NORM\nmdb002 G NORM\nMDB003 D NORM ")
    assert table.patient_ids == ("p001", "p001", "p002")


@pytest.mark.parametrize(
    "row",
    [
        "mdb01 G NORM",
        "mdb0011 G NORM",
        "mdb000 G NORM",
        "mdb001",
        "mdb001 X NORM",
        "mdb001 G NORM B",
        "mdb001 G CIRC",
        "mdb001 G CIRC X 1 2 3",
        "mdb001 G BLOB B 1 2 3",
        "mdb001 G CIRC B 1 2",
        "mdb001 G CIRC B 1 2 3 4",
        "mdb001 G CIRC B 1 -2 3",
        "mdb001 G CIRC B 1 2 0",
        "mdb001 G CIRC B 1024 2 9",
        "mdb001 G CIRC B nan 2 9",
        "mdb001 G CIRC B *NOTE 4*",
        "mdb001 G NORM\nmdb001 G CIRC B 1 2 3",
        "mdb001 G CIRC B 1 2 3\nmdb001 F CIRC B 1 2 4",
        "",
    ],
)
def test_a_row_that_cannot_be_understood_is_refused_in_one_line(row: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_info(PROSE + row)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(DataError, match="NUL"):
        decode_table(b"mdb001 G NORM\0")
    with pytest.raises(DataError, match="0xff"):
        decode_table(b"mdb001 \xff")


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_a_table_saved_as_unicode_text_is_read(order: str) -> None:
    text = "image\tpatient\tlabel\r\nMüller.png\t1\tbenign\r\n"
    assert decode_table(f"\ufeff{text}".encode(order)) == text
    for damaged in (f"\ufeff{text}".encode(order)[:-1], f"\ufeff{text}\0".encode(order)):
        with pytest.raises(DataError, match=r"UTF-16 with its mark; found .* at offset \d+ of Info\.txt"):
            decode_table(damaged)


@pytest.mark.mias
def test_the_real_table_has_the_known_counts(mias_archive: Path) -> None:
    source = open_source(mias_archive)
    table = load_cases(source)
    rows = sum(max(1, len(case.findings)) for case in table.cases)
    assert (rows, len(table), len(set(table.patient_ids))) == (330, 322, 161)
    assert Counter(case.label for case in table.cases) == {"normal": 207, "benign": 63, "malignant": 52}
    assert Counter(case.tissue for case in table.cases) == {"F": 106, "G": 104, "D": 112}
    placeless = {case.image_id for case in table.cases for finding in case.findings if finding.x is None}
    assert placeless == {"mdb059", "mdb216", "mdb233", "mdb245"}
    mdb144 = table.cases[143]
    assert mdb144.label == "malignant"
    assert len(mdb144.findings) == 2
