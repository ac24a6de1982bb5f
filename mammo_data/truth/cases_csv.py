"""cases.csv: a set of one's own, described in a table instead of MIAS's Info.txt.

Columns (separated by commas, semicolons or tabs; a header line, in any order and case): ``image`` (path below the
table's folder), ``patient``, ``label``, and where known ``tissue``, ``finding`` (what kind), ``x``, ``y``, ``radius``
(pixels of that image, y from the TOP) and ``split`` (test, or training or validation, which both mean development). One
line an image, or several where it has several findings: then the worst label counts.

The order of the classes is from harmless to worst: by the words in `_KNOWN_ORDER`, numbers by value, else by the
alphabet; so name classes "0 …", "1 …" where neither fits. The last class is the primary endpoint's.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from mammo_data.cases import Case, CaseTable, Finding
from mammo_data.decoding.decode import LARGEST_SIDE
from mammo_data.errors import DataError

REQUIRED = ("image", "patient", "label")
OPTIONAL = ("tissue", "finding", "x", "y", "radius", "split")
MOST_CLASSES = 20
_PLACE = ("x", "y", "radius")
_LONGEST_CELL = 500
_SIDES = {
    "": "",
    "test": "test",
    "training": "development",
    "train": "development",
    "validation": "development",
    "val": "development",
    "development": "development",
}
_KNOWN_ORDER = ("negative", "normal", "benign", "suspicious", "abnormal", "malignant", "cancer", "positive")


@dataclass(frozen=True)
class ListedCases:
    """What a table says.

    Attributes:
        table: The cases in the order of their first lines.
        files: For each image id its path below the table's folder.
    """

    table: CaseTable
    files: Mapping[str, str]


@dataclass(frozen=True)
class _Line:
    number: int
    cells: Mapping[str, str]
    location: str

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")

    def wrong(self, expected: str, found: str) -> DataError:
        return DataError(
            expected=expected,
            found=f"{found[:80]} in line {self.number} of {self.location}",
            remedy="Correct that line.",
        )


def parse_cases(text: str, location: str = "cases.csv") -> ListedCases:
    """Read a table.

    Args:
        text: The whole file.
        location: What to call it in an error.

    Raises:
        DataError: A column is missing, a cell can't be understood, or two lines of an image contradict each other.
    """
    lines = _lines(text, location)
    class_names = _ordered_classes({line["label"] for line in lines}, location)
    by_image: dict[str, list[_Line]] = {}
    for line in lines:
        by_image.setdefault(_image_path(line), []).append(line)
    ids = _image_ids(list(by_image))
    cases = tuple(_case(ids[path], rows, class_names) for path, rows in by_image.items())
    return ListedCases(CaseTable(cases, class_names), {ids[path]: path for path in by_image})


def _lines(text: str, location: str) -> list[_Line]:
    try:
        lines = text.splitlines()
        # Spreadsheets separate by what the country's decimal comma leaves free.
        separator = max(",;\t", key=next(filter(str.strip, lines), "").count)
        reader = csv.reader(lines, delimiter=separator, strict=True)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise DataError(expected="a CSV table", found=f"{error} in {location}", remedy="Correct the file.") from error
    rows = [(number, row) for number, row in rows if any(row)]
    header = [cell.lower() for cell in rows[0][1]] if rows else []
    missing = [column for column in REQUIRED if column not in header]
    unknown = [column for column in header if column not in (*REQUIRED, *OPTIONAL)]
    if missing or unknown or len(set(header)) != len(header):
        fault = f"no {missing[0]}" if missing else f"{unknown[0]!r}" if unknown else "a column twice"
        raise DataError(
            expected=f"the columns {', '.join(REQUIRED)} and, if known, {', '.join(OPTIONAL)}",
            found=f"{fault[:80]} in {location}",
            remedy="Correct the header line.",
        )
    found = []
    for number, row in rows[1:]:
        line = _Line(number, dict(zip(header, row, strict=False)), location)
        if len(row) != len(header):
            raise line.wrong(f"{len(header)} cells", f"{len(row)}")
        empty = [column for column in REQUIRED if not line[column]]
        if empty:
            raise line.wrong(f"a value for {empty[0]}", "none")
        odd = next((cell for cell in row if not cell.isprintable() or len(cell) > _LONGEST_CELL), None)
        if odd is not None:
            raise line.wrong(f"printable text of at most {_LONGEST_CELL} characters", repr(odd))
        found.append(line)
    if not found:
        raise DataError(expected="a line for each image", found=f"none in {location}", remedy="List the images.")
    for column in ("patient", "label"):
        _require_one_spelling(found, column)
    return found


def _require_one_spelling(lines: list[_Line], column: str) -> None:
    """Refuse "P7" beside "p7": one woman on two sides of a split, or one class as two, and nothing would tell."""
    spellings: dict[str, str] = {}
    for line in lines:
        known = spellings.setdefault(line[column].casefold(), line[column])
        if known != line[column]:
            raise line.wrong(f"one spelling of the {column} {known!r}", repr(line[column]))


def _image_path(line: _Line) -> str:
    path = PurePosixPath(line["image"].replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or path.parts[0].endswith(":"):
        raise line.wrong("a path below the table's folder", repr(line["image"]))
    return str(path)


def _image_ids(paths: list[str]) -> dict[str, str]:
    """The path without its suffix, where that is enough to tell all images apart."""
    short = {path: str(PurePosixPath(path).with_suffix("")) for path in paths}
    return short if len(set(short.values())) == len(paths) else {path: path for path in paths}


def _case(image_id: str, rows: list[_Line], class_names: tuple[str, ...]) -> Case:
    first = rows[0]
    for line in rows[1:]:
        for column in ("patient", "tissue", "split"):
            if line[column] != first[column]:
                raise line.wrong(f"{column} {first[column]!r} as in line {first.number}", repr(line[column]))
    if first["split"].lower() not in _SIDES:
        raise first.wrong(f"a split of {', '.join(filter(None, _SIDES))}, or none", repr(first["split"]))
    findings = tuple(finding for line in rows if (finding := _finding(line)) is not None)
    return Case(
        image_id=image_id,
        patient_id=first["patient"],
        label=max((line["label"] for line in rows), key=class_names.index),
        tissue=first["tissue"],
        findings=findings,
        side=_SIDES[first["split"].lower()],
    )


def _finding(line: _Line) -> Finding | None:
    given = [line[column] for column in _PLACE]
    if not any(given):
        return Finding(line["finding"], line["label"]) if line["finding"] else None
    try:
        x, y, radius = (float(cell) for cell in given)
    except ValueError:
        raise line.wrong("numbers for x, y and radius, or none of them", repr(" ".join(given))) from None
    if not (0 <= x < LARGEST_SIDE and 0 <= y < LARGEST_SIDE and 0 < radius <= LARGEST_SIDE):
        raise line.wrong(f"x, y and radius in pixels, 0 to {LARGEST_SIDE}", repr(" ".join(given)))
    return Finding(line["finding"], line["label"], x, y, radius)


def _ordered_classes(labels: set[str], location: str) -> tuple[str, ...]:
    if not 2 <= len(labels) <= MOST_CLASSES:
        raise DataError(
            expected=f"2 to {MOST_CLASSES} classes",
            found=f"{len(labels)} different labels in {location}",
            remedy="Correct the label column.",
        )
    if all(label.lower() in _KNOWN_ORDER for label in labels):
        return tuple(sorted(labels, key=lambda label: _KNOWN_ORDER.index(label.lower())))
    return tuple(sorted(labels, key=_natural))


def _natural(label: str) -> tuple[tuple[bool, float, str], ...]:
    """Sort key that takes the numbers in a label by their value: BI-RADS 2 before BI-RADS 10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", label)
    keys = [(False, float(part), "") if part[0] in "0123456789" else (True, 0.0, part.lower()) for part in parts]
    # "1" and "01" still need a fixed order.
    return (*keys, (True, 0.0, label))
