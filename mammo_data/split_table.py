"""The table of a split, split.csv: a line an image, of which only the patient, the side and the seed are read.

Columns: ``image_id``, ``patient_id``, ``label``, ``side`` ("test", a fold's number, or "training" for patients that
every fold trains on) and ``seed``.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from mammo_data.errors import DataError
from mammo_data.truth.mistakes import Mistakes
from mammo_data.truth.patient_key import spelled, two_spellings
from mammo_data.truth.reading import decode_table, read_file

COLUMNS = ("image_id", "patient_id", "label", "side", "seed")
TEST = "test"
TRAINING = "training"


def read_sides(path: Path) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], int]:
    """Sorted ids of the test patients and of each fold's validation patients, and the seed.

    Raises:
        DataError: The file is no such table, or a patient stands on two sides or under two spellings.
    """
    rows, mistakes, seed = _split_lines(path), Mistakes(), 0
    sides: dict[str, tuple[int, str]] = {}
    for number, row in rows:
        with mistakes.collected():
            patient, seed = row["patient_id"], _whole(row["seed"], "a whole seed", number, path)
            side = row["side"].lower()
            if side not in (TEST, TRAINING):
                fold = _whole(side, f"{TEST}, {TRAINING} or the number of a fold as the side", number, path)
                side = str(fold)
            first, known = sides.setdefault(patient, (number, side))
            if side != known:
                raise _wrong_line(
                    f"patient {patient} on one side",
                    f"two sides, {known} in line {first} and {side}",
                    number,
                    path,
                )
    for one, other in two_spellings(sides):
        shown = f"{spelled(one)} and {spelled(other)}"
        mistakes.append(
            _unreadable(path, f"two spellings of one patient, {shown}, in lines {sides[one][0]} and {sides[other][0]}")
        )
    mistakes.require_none()
    numbers = sorted({int(side) for _, side in sides.values() if side not in (TEST, TRAINING)})
    if numbers != list(range(len(numbers))):
        raise _unreadable(path, f"folds {numbers}")
    of = {
        where: tuple(sorted(name for name, (_, side) in sides.items() if side == where))
        for where in (TEST, *map(str, numbers))
    }
    return of[TEST], tuple(of[str(number)] for number in numbers), seed


def patients_listed(path: Path) -> set[str]:
    """Ids of all patients of a file that `read_sides` reads, those included that every fold trains on."""
    return {row["patient_id"] for _, row in _split_lines(path)}


def _split_lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The lines of a split table with their numbers, also as a spreadsheet saves it."""
    try:
        lines = decode_table(read_file(path), str(path)).splitlines()
        separator = max(",;\t", key=next(filter(str.strip, lines), "").count)
        reader = csv.reader(lines, delimiter=separator, strict=True)
        rows = [(reader.line_num, cells) for row in reader if any(cells := [cell.strip() for cell in row])]
    except csv.Error as error:
        raise _unreadable(path, f"another kind of file ({type(error).__name__})") from error
    header = [cell.lower() for cell in rows[0][1]] if rows else []
    if missing := [column for column in ("patient_id", "side", "seed") if column not in header]:
        raise _unreadable(path, f"no column {missing[0]!r}")
    if len(rows) < 2:
        raise _unreadable(path, "no line of an image")
    mistakes = Mistakes()
    for number, row in rows[1:]:
        if len(row) < len(header) or any(row[len(header) :]):
            mistakes.append(_wrong_line(f"{len(header)} cells", str(len(row)), number, path))
        elif not row[header.index("patient_id")]:
            mistakes.append(_wrong_line("a patient's id", "none", number, path))
    mistakes.require_none()
    return [(number, dict(zip(header, row, strict=False))) for number, row in rows[1:]]


def _whole(cell: str, expected: str, number: int, path: Path) -> int:
    """A whole number, also as a data frame writes it ("2.0")."""
    if not re.fullmatch(r"[0-9]{1,18}(\.0*)?", cell):
        raise _wrong_line(expected, repr(cell[:40]), number, path)
    return int(cell.partition(".")[0])


def _wrong_line(expected: str, found: str, number: int, path: Path) -> DataError:
    return DataError(expected=expected, found=f"{found} in line {number} of {path}", remedy="Correct that line.")


def _unreadable(path: Path, found: str) -> DataError:
    return DataError(
        expected=f"a split table with the columns {', '.join(COLUMNS)}",
        found=f"{found} in {path}",
        remedy="Name the split.csv of a run, or restore it.",
    )
