"""Info.txt, MIAS's truth table: about 100 lines of prose, then one row a finding.

A row is ``REFNUM TISSUE CLASS [SEVERITY [X Y RADIUS | *NOTE 3*]]``. Only lines that begin with a MIAS reference number
are rows: the credits line "Truth-Data: C R M Boggis" would otherwise pass for a malignant finding. Tables that other
programs have saved are read as well: cells between commas, semicolons or tabs, an index before them, quoted, in lower
case, mdb001.pgm, 535.0, NaN for a missing cell.

A label is one letter, so a damaged row can read as another label. The published table is known by its hash (see
`mammo_data.truth.mias`); a table of one's own may carry a line ``ROWS-SHA-256: <hex>`` (`rows_checksum`), which is then
checked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from mammo_data.cases import MIAS_CLASSES, Case, CaseTable, Finding
from mammo_data.errors import DataError
from mammo_data.truth.mistakes import Mistakes

_ROW = re.compile(r"^mdb[0-9]{3}$")
_TISSUES = frozenset("FGD")
_ABNORMALITIES = frozenset({"CALC", "CIRC", "SPIC", "MISC", "ARCH", "ASYM"})
_SEVERITIES = {"B": "benign", "M": "malignant"}
_NOTE_3 = ["*NOTE", "3*"]
_COORDINATE = re.compile(r"^[0-9]{1,5}$")
_WHOLE = re.compile(r"^([0-9]+)\.0+$")
_SUFFIX = re.compile(r"(?:\.(?:pgm|png|jpe?g|tiff?|dcm))+$")
_CHECKSUM = re.compile(r"^ROWS-SHA-256: *(\S+)", re.MULTILINE)


def patient_of(image_id: str) -> str:
    """The woman an image belongs to: odd n and n + 1 are her two breasts (Info.txt, note 1).

    Args:
        image_id: A MIAS reference number such as "mdb001".

    Returns:
        Her number in three digits, "p001" for mdb001 and mdb002.
    """
    return f"p{(int(image_id[3:]) + 1) // 2:03d}"


def parse_info(text: str, image_height: int = 1024) -> CaseTable:
    """The case table that a truth table's text describes.

    An image's label is its worst finding (malignant before benign before none); all findings are kept. Info.txt counts
    y from the bottom edge (note 3), a `Finding` from the top: row = image_height - 1 - y. A finding without coordinates
    (note 4, and mdb059) has x, y and radius None.

    Args:
        text: The whole file, prose included; Kaggle's variant with a header line is the same to this parser.
        image_height: Height (and width: MIAS's films are square) of the images in pixels.

    Returns:
        Cases sorted by reference number.

    Raises:
        DataError: A row can't be understood, two rows contradict each other, or there is no row at all.
    """
    rows: dict[str, list[tuple[str, Finding | None]]] = {}
    _require_checksum(text)
    mistakes = Mistakes()
    for number, line in enumerate(text.splitlines(), start=1):
        tokens = _row_cells(line)
        if not tokens:
            continue
        with mistakes.collected():
            row = _parse_row(number, line, tokens, image_height)
            kept = rows.setdefault(tokens[0], [row])
            if kept[0][0] != row[0]:
                raise _bad_row(number, line, f"tissue {kept[0][0]} as in the other row of {tokens[0]}")
            if (kept[0][1] is None) != (row[1] is None):
                raise _bad_row(number, line, f"{tokens[0]} to be either NORM or abnormal, not both")
            if row not in kept:
                kept.append(row)
    if rows or not mistakes[1:]:
        mistakes.require_none()
    if mistakes:
        raise DataError(
            expected="rows such as 'mdb001 G CIRC B 535 425 197', separated by spaces, commas, semicolons or tabs",
            found=f"{len(mistakes)} others, of which the first is {mistakes[0].found} (no {mistakes[0].expected})",
            remedy="Save the table in that form, or use the Info.txt that comes with the images.",
        )
    if not rows:
        raise DataError(
            expected="rows such as 'mdb001 G CIRC B 535 425 197'",
            found="none in the truth table",
            remedy="Use the Info.txt that comes with the images.",
        )
    cases = []
    for image_id in sorted(rows):
        findings = tuple(finding for _, finding in rows[image_id] if finding is not None)
        cases.append(Case(image_id, patient_of(image_id), worst_label(findings), rows[image_id][0][0], findings))
    return CaseTable(tuple(cases))


def rows_checksum(text: str) -> str:
    """SHA-256 (hex) of a truth table's rows; prose, separators and letter case do not count."""
    rows = filter(None, map(_row_cells, text.splitlines()))
    return hashlib.sha256("\n".join(map(" ".join, rows)).encode()).hexdigest()


def worst_label(findings: Sequence[Finding]) -> str:
    """Class name of the worst finding; the first class where there is none."""
    return MIAS_CLASSES[max((MIAS_CLASSES.index(finding.severity) for finding in findings), default=0)]


def _require_checksum(text: str) -> None:
    stated = _CHECKSUM.findall(text)
    if stated and {found.lower() for found in stated} != {rows_checksum(text)}:
        raise DataError(
            expected=f"rows with the SHA-256 {stated[0][:16]}… that Info.txt states",
            found=f"rows with {rows_checksum(text)[:16]}…",
            remedy="Get a fresh copy of Info.txt; if you changed its rows yourself, remove the line with the hash.",
        )


def _row_cells(line: str) -> list[str]:
    """The cells of a row as MIAS writes them, the reference number in lower case; [] for a line of prose."""
    separator = next((mark for mark in ";\t," if mark in line), " ")
    # Where commas do not separate they are decimal.
    cells = line.replace('"', " ").replace(separator, " ").replace(",", ".").split()
    if separator != " " and cells[1:] and cells[0].isdigit():
        cells = cells[1:]
    if not cells or not cells[0].lower().startswith("mdb"):
        return []
    reference = _SUFFIX.sub("", cells[0].lower())
    return [reference, *(_WHOLE.sub(r"\1", cell.upper()) for cell in cells[1:] if cell.lower() != "nan")]


def _parse_row(number: int, line: str, tokens: list[str], image_height: int) -> tuple[str, Finding | None]:
    if not _ROW.match(tokens[0]) or tokens[0] == "mdb000":
        raise _bad_row(number, line, "a reference number such as mdb001")
    if len(tokens) < 3 or tokens[1] not in _TISSUES:
        raise _bad_row(number, line, "a tissue (F, G or D) and a class")
    tissue, abnormality, rest = tokens[1], tokens[2], tokens[3:]
    if abnormality == "NORM":
        if rest:
            raise _bad_row(number, line, "nothing after NORM")
        return tissue, None
    if abnormality not in _ABNORMALITIES:
        raise _bad_row(number, line, f"one of {', '.join(sorted(_ABNORMALITIES))}, NORM as the class")
    if not rest or rest[0] not in _SEVERITIES:
        raise _bad_row(number, line, "severity B or M after the class")
    severity, place = _SEVERITIES[rest[0]], rest[1:]
    if not place or place == _NOTE_3:
        return tissue, Finding(abnormality, severity)
    if len(place) != 3 or not all(_COORDINATE.match(token) for token in place):
        raise _bad_row(number, line, "x, y and radius in whole pixels, or *NOTE 3*, or nothing after the severity")
    x, y, radius = (int(token) for token in place)
    if x >= image_height or y >= image_height or not 0 < radius <= image_height:
        raise _bad_row(number, line, f"a circle within {image_height} × {image_height} pixels")
    return tissue, Finding(abnormality, severity, float(x), float(image_height - 1 - y), float(radius))


def _bad_row(number: int, line: str, expected: str) -> DataError:
    return DataError(
        expected=expected, found=f"{line.strip()[:80]!r} in line {number} of Info.txt", remedy="Correct that line."
    )
