"""Info.txt as people keep it: what other programs make of its rows reads as the original."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from mammo_data import DataError, parse_info

INFO = """This file lists the films, with commas; and semicolons.
Truth-Data: C R M Boggis
mdb001 G CIRC B 535 425 197
mdb002 G NORM
mdb005 F CIRC B 477 133 30
mdb005 F CIRC B 500 168 26
mdb059 F CIRC B
mdb216 D CALC M *NOTE 3*
mdb218 G CALC M 519 629 8
"""


def rows(change: Callable[[str], str]) -> str:
    return "".join(change(line) if line.startswith("mdb") else line for line in INFO.splitlines(keepends=True))


VARIANTS: dict[str, Callable[[str], str]] = {
    "commas": lambda line: re.sub(" +", ",", line),
    "semicolons and decimal commas": lambda line: re.sub(r";(\d+)(?=[;\n])", r";\1,0", re.sub(" +", ";", line)),
    "tabs": lambda line: line.replace(" ", "\t"),
    "all cells there": lambda line: ",".join((line.split() + [""] * 7)[:7]) + "\n" if "NOTE" not in line else line,
    "an index before": lambda line: "12," + line.replace(" ", ","),
    "quotes": lambda line: ",".join(f'"{cell}"' for cell in line.split()) + "\n",
    "a suffix": lambda line: line.replace(" ", ".pgm ", 1),
    "two suffixes": lambda line: line.replace(" ", ".pgm.png ", 1),
    "floats": lambda line: re.sub(r" (\d+)(?=[ \n])", r" \1.0", line) if "NOTE" not in line else line,
    "NaN": lambda line: line.replace("NORM", "NORM NaN nan NaN NaN"),
    "lower case": str.lower,
    "Windows": lambda line: line.replace("\n", " \r\n"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_read_as_the_original(variant: str) -> None:
    assert rows(VARIANTS[variant]) != INFO
    assert parse_info(rows(VARIANTS[variant])) == parse_info(INFO)


def test_faults_come_in_one_go() -> None:
    with pytest.raises(DataError) as caught:
        parse_info(INFO.replace("mdb002 G", "mdb002 X").replace("CALC M 519", "CALC Q 519"))
    first, second = str(caught.value).splitlines()
    assert "in line 4 of" in first
    assert "in line 9 of" in second


def test_a_table_of_another_form_is_one_line_with_its_remedy() -> None:
    with pytest.raises(DataError) as caught:
        parse_info(rows(lambda line: line.replace(" ", "|")))
    (line,) = str(caught.value).splitlines()
    assert "7 others, of which the first is 'mdb001|G|CIRC" in line
    assert "Save the table in that form" in line
