"""Info.txt, MIAS's truth table: about 100 lines of prose, then one row a finding.

A row is ``REFNUM TISSUE CLASS [SEVERITY [X Y RADIUS | *NOTE 3*]]``. Only lines that begin with a MIAS reference number
are rows: the credits line "Truth-Data: C R M Boggis" would otherwise pass for a malignant finding.

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
# A data frame writes whole numbers as floats, and NaN where there is none.
_COORDINATE = re.compile(r"^([0-9]{1,5})(?:\.0*)?$")
_NAN = "nan"
_SUFFIX = re.compile(r"\.(?:pgm|png|jpe?g|tiff?)$")
_CHECKSUM = re.compile(r"^ROWS-SHA-256: *(\S+)", re.MULTILINE)


def patient_of(image_id: str) -> str:
    """The woman an image belongs to: odd n and n + 1 are her two breasts (Info.txt, note 1).

    Args:
        image_id: A MIAS reference number such as "mdb001".

    Returns:
        Her number in three digits, "p001" for mdb001 and mdb002.
    """
    return f"p{(int(image_id[3:]) + 1) // 2:03d}"


def decode_info(data: bytes, name: str = "Info.txt") -> str:
    """The text of a truth table's bytes; a cases.csv is read the same way.

    Raises:
        DataError: The bytes hold a NUL or are not UTF-8 (MIAS's file is plain ASCII).
    """
    place = data.find(b"\0")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = error.start
    if place < 0:
        return text
    raise DataError(
        expected="UTF-8 text",
        found=f"{f'byte 0x{data[place]:02x}' if data[place] else 'a NUL byte'} at offset {place} of {name}",
        remedy="Get a fresh copy of that file, or save it as UTF-8.",
    )


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
    mistakes = Mistakes()
    _require_checksum(text)
    for number, line in enumerate(text.splitlines(), start=1):
        tokens = line.replace(",", " ").replace(";", " ").split()
        if not tokens or not tokens[0].lower().startswith("mdb"):
            continue
        with mistakes.collected():
            _add_row(rows, number, line, tokens, image_height)
    mistakes.require_none()
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


def _add_row(
    rows: dict[str, list[tuple[str, Finding | None]]], number: int, line: str, tokens: list[str], image_height: int
) -> None:
    image_id = _SUFFIX.sub("", tokens[0].lower())
    if not _ROW.match(image_id) or image_id == "mdb000":
        raise _bad_row(number, line, "a reference number such as mdb001")
    row = _parse_row(number, line, tokens, image_height)
    kept = rows.setdefault(image_id, [row])
    if kept[0][0] != row[0]:
        raise _bad_row(number, line, f"tissue {kept[0][0]} as in the other row of {image_id}")
    if (kept[0][1] is None) != (row[1] is None):
        raise _bad_row(number, line, f"{image_id} to be either NORM or abnormal, not both")
    if row not in kept:
        kept.append(row)


def rows_checksum(text: str) -> str:
    """SHA-256 (hex) of a truth table's rows; prose, white space and letter case of the numbers do not count."""
    rows = [line.split() for line in text.splitlines() if line.split() and line.split()[0].lower().startswith("mdb")]
    return hashlib.sha256("\n".join(" ".join([row[0].lower(), *row[1:]]) for row in rows).encode()).hexdigest()


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


def _parse_row(number: int, line: str, tokens: list[str], image_height: int) -> tuple[str, Finding | None]:
    if len(tokens) < 3 or tokens[1] not in _TISSUES:
        raise _bad_row(number, line, "a tissue (F, G or D) and a class")
    tissue, abnormality, rest = tokens[1], tokens[2], tokens[3:]
    while rest and rest[-1].lower() == _NAN:
        rest = rest[:-1]
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
    numbers = [match[1] for token in place if (match := _COORDINATE.match(token))]
    if len(place) != 3 or len(numbers) != 3:
        raise _bad_row(number, line, "x, y and radius in whole pixels, or *NOTE 3*, or nothing after the severity")
    x, y, radius = map(int, numbers)
    if x >= image_height or y >= image_height or not 0 < radius <= image_height:
        raise _bad_row(number, line, f"a circle within {image_height} × {image_height} pixels")
    return tissue, Finding(abnormality, severity, float(x), float(image_height - 1 - y), float(radius))


def _bad_row(number: int, line: str, expected: str) -> DataError:
    return DataError(
        expected=expected, found=f"{line.strip()[:80]!r} in line {number} of Info.txt", remedy="Correct that line."
    )
