"""cases.csv: a set of one's own, described in a table instead of MIAS's Info.txt.

Columns (separated by commas, semicolons or tabs; a header line, in any order and case): ``image`` (path below the
table's folder), ``patient``, ``label``, and where known ``tissue``, ``finding`` (what kind), ``x``, ``y``, ``radius``
(pixels of that image, y from the TOP) and ``split`` (test, or training or validation, which both mean development). One
line an image, or several where it has several findings: then the worst label counts.

The order of the classes, from harmless to worst, is that of `mammo_data.truth.class_words`; for other words it is
stated, as an argument or by the table's first line, ``# classes: normal, cyst, cancer``; else they are refused. The
last class is the primary endpoint's.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from mammo_data.cases import LARGEST_SIDE, Case, CaseTable, Finding
from mammo_data.errors import DataError
from mammo_data.truth.class_words import is_no_answer, order_classes, word_key
from mammo_data.truth.mistakes import Mistakes
from mammo_data.truth.patient_key import has_lost_digits, spelled, two_spellings

REQUIRED = ("image", "patient", "label")
OPTIONAL = ("tissue", "finding", "x", "y", "radius", "split")
MOST_CLASSES = 20
_PLACE = ("x", "y", "radius")
_LONGEST_CELL = 500
_DEVELOPMENT = ("training", "train", "validation", "val", "development")
# A spreadsheet may have quoted the line and filled it up with separators.
_STATED = re.compile(r"[\s\"]*#\s*classes\s*[:=](.*)", re.IGNORECASE)
_SIDES = {"": "", "test": "test", **dict.fromkeys(_DEVELOPMENT, "development")}


@dataclass(frozen=True)
class ListedCases:
    """What a table says.

    Attributes:
        table: The cases in the order of their first lines.
        files: For each image id its path below the table's folder.
        lines: For each image id the number of its first line.
    """

    table: CaseTable
    files: Mapping[str, str]
    lines: Mapping[str, int] = field(compare=False)


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
        DataError: A column is missing, a cell can't be understood, the order of the classes is not known, a class that
            the table's first line states has no image, or two lines of an image contradict each other; all of it at
            once.
    """
    mistakes = Mistakes()
    rows = text.splitlines()
    lines = _lines(rows, location, mistakes)
    if not lines:
        mistakes.require_none()
    class_names = tuple(dict.fromkeys(line["label"] for line in lines))
    with mistakes.collected():
        # A line that can't be read may hold the only label of a class.
        stated = _stated_order(rows, location, classes)
        lines, class_names = _in_classes(lines, location, stated, complete=not mistakes)
        # A given order may be a model's, of which a set need not have every class; the table's own is of its images.
        if stated and not classes and not mistakes:
            require_each_class(stated, class_names, location)
    by_image: dict[str, list[_Line]] = {}
    for line in lines:
        with mistakes.collected():
            by_image.setdefault(_image_path(line), []).append(line)
    _require_one_side(lines, mistakes)
    ids = _image_ids(list(by_image))
    cases = tuple(_case(ids[path], rows, class_names, mistakes) for path, rows in by_image.items())
    mistakes.require_none()
    numbers = {ids[path]: rows[0].number for path, rows in by_image.items()}
    return ListedCases(CaseTable(cases, class_names), {ids[path]: path for path in by_image}, numbers)


def require_each_class(stated: Sequence[str], found: Sequence[str], location: str) -> None:
    """Refuse a stated class without an image: the worst would be another one than the user has in mind.

    Raises:
        DataError: A stated class is not among those found.
    """
    if absent := [name for name in stated if name not in found]:
        raise DataError(
            expected=f"an image of each stated class, {', '.join(stated)}",
            found=f"none of {', '.join(absent)} in {location}",
            remedy="Leave the class out where the order is stated, or correct the labels.",
        )


def _stated_order(rows: Sequence[str], location: str, given: Sequence[str]) -> Sequence[str]:
    """The order that the table's first line states, or the given one; both have to be the same."""
    number, first = next(((number, row) for number, row in enumerate(rows, start=1) if row.strip()), (0, ""))
    match = _STATED.match(first)
    if match is None:
        return given
    stated = [word for cell in re.split(r"[,;\t<]", match[1]) if (word := cell.strip(' \t"'))]
    if given and [word_key(word) for word in given] != [word_key(word) for word in stated]:
        raise DataError(
            expected="one order of the classes",
            found=f"{', '.join(given)} as given, and {', '.join(stated)} in line {number} of {location}",
            remedy="Leave one of them out, or make them the same.",
        )
    return stated


def _lines(lines: Sequence[str], location: str, mistakes: Mistakes) -> list[_Line]:
    try:
        # The line that states the classes is none of the table; the others keep their numbers.
        begins = next((number for number, line in enumerate(lines) if line.strip()), 0)
        if lines and _STATED.match(lines[begins]):
            lines = [*[""] * (begins + 1), *lines[begins + 1 :]]
        # Spreadsheets separate by what the country's decimal comma leaves free.
        separator = max(",;\t", key=next(filter(str.strip, lines), "").count)
        reader = csv.reader(lines, delimiter=separator, strict=True)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise DataError(expected="a CSV table", found=f"{error} in {location}", remedy="Correct the file.") from error
    rows = [(number, row) for number, row in rows if any(row)]
    header = [cell.lower() for cell in rows[0][1]] if rows else []
    # Spreadsheets save columns that once held something, and are empty now.
    named = len(header) if "" not in header else max((n + 1 for n, cell in enumerate(header) if cell), default=0)
    if not any(any(row[named:]) for _, row in rows):
        rows, header = [(number, row[:named]) for number, row in rows], header[:named]
    missing = [column for column in REQUIRED if column not in header]
    unknown = [column for column in header if column not in (*REQUIRED, *OPTIONAL)]
    if missing or unknown or len(set(header)) != len(header):
        fault = f"no {missing[0]}" if missing else f"{unknown[0]!r}" if unknown else "a column twice"
        if not missing and "" in unknown:
            fault = "a column without a name (a row's number?)"
        raise DataError(
            expected=f"the columns {', '.join(REQUIRED)} and, if known, {', '.join(OPTIONAL)}",
            found=f"{fault[:80]} in {location}",
            remedy="Correct the header line.",
        )
    found = []
    for number, row in rows[1:]:
        line = _Line(number, dict(zip(header, row, strict=False)), location)
        with mistakes.collected():
            _require_filled(line, row, len(header))
            found.append(line)
    if len(rows) < 2:
        raise DataError(expected="a line for each image", found=f"none in {location}", remedy="List the images.")
    for one, other in two_spellings(line["patient"] for line in found):
        first, second = (next(line.number for line in found if line["patient"] == each) for each in (one, other))
        mistakes.append(
            DataError(
                expected="one spelling of each patient's id",
                found=f"{spelled(one)} in line {first} and {spelled(other)} in line {second} of {location}",
                remedy="Write one woman's id in one way, without breast and view; two women's ids must differ in more "
                "than case, spaces, marks and zeros.",
            )
        )
    return found


def _require_filled(line: _Line, row: list[str], columns: int) -> None:
    if len(row) != columns:
        raise line.wrong(f"{columns} cells", f"{len(row)}")
    empty = [column for column in REQUIRED if not line[column]]
    if empty:
        raise line.wrong(f"a value for {empty[0]}", "none")
    odd = next((cell for cell in row if not cell.isprintable() or len(cell) > _LONGEST_CELL), None)
    if odd is not None:
        raise line.wrong(f"printable text of at most {_LONGEST_CELL} characters", repr(odd))
    # All that have it would be one woman. "NA" may be a woman's initials.
    if is_no_answer(line["patient"]) and line["patient"].lower() != "na":
        raise line.wrong("a patient's id", repr(line["patient"]))
    if has_lost_digits(line["patient"]):
        raise line.wrong("a patient's id in full; a spreadsheet has rounded it", repr(line["patient"]))


def _require_one_side(lines: Sequence[_Line], mistakes: Mistakes) -> None:
    first: dict[str, _Line] = {}
    for line in lines:
        known, side = first.setdefault(line["patient"], line), _SIDES.get(line["split"].lower())
        if (side == "test") != (_SIDES.get(known["split"].lower()) == "test"):
            wanted = f"patient {line['patient']!r} on one side, {known['split'] or 'none'} as in line {known.number}"
            mistakes.append(line.wrong(wanted, repr(line["split"])))


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


def _case(image_id: str, rows: list[_Line], class_names: tuple[str, ...], mistakes: Mistakes) -> Case:
    first = rows[0]
    for line in rows[1:]:
        for column in ("patient", "tissue", "split"):
            if line[column] != first[column]:
                wanted = f"{column} {first[column]!r} as in line {first.number}"
                mistakes.append(line.wrong(wanted, repr(line[column])))
    side = _SIDES.get(first["split"].lower())
    if side is None:
        mistakes.append(first.wrong(f"a split of {', '.join(filter(None, _SIDES))}, or none", repr(first["split"])))
    findings = []
    for line in rows:
        with mistakes.collected():
            if (finding := _finding(line)) is not None:
                findings.append(finding)
    return Case(
        image_id=image_id,
        patient_id=first["patient"],
        label=max((line["label"] for line in rows), key=class_names.index),
        tissue=first["tissue"],
        findings=tuple(findings),
        side=side or "",
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


def _in_classes(
    lines: list[_Line], location: str, stated: Sequence[str], *, complete: bool
) -> tuple[list[_Line], tuple[str, ...]]:
    """The lines with their classes as labels, and the classes in order."""
    numbers: dict[str, list[int]] = {}
    for line in lines:
        numbers.setdefault(line["label"], []).append(line.number)
    classes = order_classes(numbers, location, stated)
    count = len(classes.names)
    if not (2 if complete else 1) <= count <= MOST_CLASSES:
        raise DataError(
            expected=f"2 to {MOST_CLASSES} classes",
            found=f"{'one label' if count == 1 else f'{count} different labels'} in {location}",
            remedy="Correct the label column.",
        )
    named = [replace(line, cells={**line.cells, "label": classes.of_word[line["label"]]}) for line in lines]
    return named, classes.names
