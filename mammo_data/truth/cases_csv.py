"""cases.csv: a set of one's own, described in a table instead of MIAS's Info.txt.

Columns (separated by commas, semicolons or tabs; a header line, in any order and case): ``image`` (path below the
table's folder), ``patient``, ``label``, and where known ``tissue``, ``finding`` (what kind), ``x``, ``y``, ``radius``
(pixels of that image, y from the TOP) and ``split`` (test, or training or validation, which both mean development). One
line an image, or several where it has several findings: then the worst label counts.

The order of the classes, from harmless to worst, is that of `mammo_data.truth.class_words`; a word that it does not
know is refused. The last class is the primary endpoint's.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from mammo_data.cases import LARGEST_SIDE, Case, CaseTable, Finding
from mammo_data.errors import DataError
from mammo_data.truth.class_words import order_classes
from mammo_data.truth.patient_key import spelled, two_spellings

REQUIRED = ("image", "patient", "label")
OPTIONAL = ("tissue", "finding", "x", "y", "radius", "split")
MOST_CLASSES = 20
_PLACE = ("x", "y", "radius")
_LONGEST_CELL = 500
_DEVELOPMENT = ("training", "train", "validation", "val", "development")
_SIDES = {"": "", "test": "test", **dict.fromkeys(_DEVELOPMENT, "development")}


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


def parse_cases(text: str, location: str = "cases.csv", classes: Sequence[str] = ()) -> ListedCases:
    """Read a table.

    Args:
        text: The whole file.
        location: What to call it in an error.
        classes: The order of the classes from harmless to worst, where the table's words do not give it.

    Raises:
        DataError: A column is missing, a cell can't be understood, the order of the classes is not known, or two lines
            of an image contradict each other.
    """
    lines = _lines(text, location)
    lines, class_names = _in_classes(lines, location, classes)
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
    _require_one_spelling(found, location)
    return found


def _require_one_spelling(lines: list[_Line], location: str) -> None:
    found = two_spellings(line["patient"] for line in lines)
    if found is None:
        return
    where = [next(line.number for line in lines if line["patient"] == patient) for patient in found]
    raise DataError(
        expected="one spelling of each patient's id",
        found=" and ".join(f"{spelled(patient)} in line {number}" for patient, number in zip(found, where, strict=True))
        + f" of {location}",
        remedy="Write one woman's id in one way; two women's ids must differ in more than case, spaces and zeros.",
    )


def _image_path(line: _Line) -> str:
    # One form of letters for one file, whichever its lines have.
    path = PurePosixPath(unicodedata.normalize("NFC", line["image"].replace("\\", "/")))
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


def _in_classes(lines: list[_Line], location: str, stated: Sequence[str]) -> tuple[list[_Line], tuple[str, ...]]:
    """The lines with their classes as labels, and the classes in order."""
    numbers: dict[str, list[int]] = {}
    for line in lines:
        numbers.setdefault(line["label"], []).append(line.number)
    classes = order_classes(numbers, location, stated)
    if not 2 <= len(classes.names) <= MOST_CLASSES:
        raise DataError(
            expected=f"2 to {MOST_CLASSES} classes",
            found=f"{len(classes.names)} different labels in {location}",
            remedy="Correct the label column.",
        )
    named = [replace(line, cells={**line.cells, "label": classes.of_word[line["label"]]}) for line in lines]
    return named, classes.names
