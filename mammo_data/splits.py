"""The hold-out and the folds: patients, not images, and each patient on one side only.

A `Split` holds patient ids, so a woman's two breasts can't part; rows of a case table are derived from it.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import CaseTable
from mammo_data.errors import DataError
from mammo_data.files import sha256_of, write_whole
from mammo_data.truth.mistakes import Mistakes
from mammo_data.truth.patient_key import spelled, two_spellings
from mammo_data.truth.reading import decode_table, read_file

_COLUMNS = ("image_id", "patient_id", "label", "side", "seed")
_TEST = "test"
_TRAINING = "training"
_SINGLE_FOLD_PARTS = 5


@dataclass(frozen=True)
class Split:
    """Who is held out for the final evaluation, and who validates in which fold.

    Attributes:
        test_patients: Sorted ids of the patients that only the final evaluation reads.
        folds: For each fold the sorted ids of its validation patients. A development patient in no fold is in the
            training part of each.
        seed: What the split was drawn with.

    Raises:
        ValueError: A patient stands on two sides.
    """

    test_patients: tuple[str, ...]
    folds: tuple[tuple[str, ...], ...]
    seed: int

    def __post_init__(self) -> None:
        counts = Counter([*self.test_patients, *itertools.chain(*self.folds)])
        if twice := [patient for patient, count in counts.items() if count > 1]:
            raise ValueError(f"each patient must be on one side of the split; received {twice[0]} on two")

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of who is on which side; the seed does not count."""
        return sha256_of([self.test_patients, self.folds])

    @property
    def test_fingerprint(self) -> str:
        """SHA-256 (hex) of who is held out, however the others are dealt into folds."""
        return sha256_of(sorted(self.test_patients))

    def test_rows(self, table: CaseTable) -> NDArray[np.int64]:
        """Rows of ``table`` that belong to test patients, ascending, int64."""
        return _rows(table, set(self.test_patients))

    def development_rows(self, table: CaseTable) -> NDArray[np.int64]:
        """Rows of ``table`` that belong to anyone else, ascending, int64."""
        return _rows(table, set(table.patient_ids) - set(self.test_patients))

    def fold_rows(self, table: CaseTable, fold: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Training and validation rows of one fold, both of development patients, ascending, int64."""
        validation = set(self.folds[fold])
        training = set(table.patient_ids) - set(self.test_patients) - validation
        return _rows(table, training), _rows(table, validation)

    def write_csv(self, path: Path, table: CaseTable) -> None:
        """Write one line an image: image_id, patient_id, label, side ("test", a fold's number, "training"), seed."""
        side = dict.fromkeys(self.test_patients, _TEST)
        for number, fold in enumerate(self.folds):
            side.update(dict.fromkeys(fold, str(number)))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for case in table.cases:
            where = side.get(case.patient_id, _TRAINING)
            writer.writerow((case.image_id, case.patient_id, case.label, where, self.seed))
        write_whole(path, text.getvalue().encode())

    @classmethod
    def read_csv(cls, path: Path) -> Split:
        """Read what `write_csv` wrote.

        Raises:
            DataError: The file is no such table, or a patient stands on two sides or under two spellings.
        """
        rows, mistakes, seed = _split_lines(path), Mistakes(), 0
        sides: dict[str, tuple[int, str]] = {}
        for number, row in rows:
            with mistakes.collected():
                patient, seed = row["patient_id"], _whole(row["seed"], "a whole seed", number, path)
                side = row["side"].lower()
                if side not in (_TEST, _TRAINING):
                    fold = _whole(side, f"{_TEST}, {_TRAINING} or the number of a fold as the side", number, path)
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
                _unreadable(
                    path, f"two spellings of one patient, {shown}, in lines {sides[one][0]} and {sides[other][0]}"
                )
            )
        mistakes.require_none()
        numbers = sorted({int(side) for _, side in sides.values() if side not in (_TEST, _TRAINING)})
        if numbers != list(range(len(numbers))):
            raise _unreadable(path, f"folds {numbers}")
        of = {
            where: tuple(sorted(name for name, (_, side) in sides.items() if side == where))
            for where in (_TEST, *map(str, numbers))
        }
        return cls(of[_TEST], tuple(of[str(number)] for number in numbers), seed)


def patients_listed(path: Path) -> set[str]:
    """Ids of all patients of a file that `Split.read_csv` reads, those included that every fold trains on."""
    return {row["patient_id"] for _, row in _split_lines(path)}


def patient_split(table: CaseTable, *, test_fraction: float = 0.25, folds: int = 5, seed: int = 0) -> Split:
    """Draw a hold-out and folds, stratified by each patient's worst label.

    Args:
        table: The cases; only patients and labels are looked at.
        test_fraction: Part of the patients to hold out; 0 holds out none (a nested protocol's inner splits).
        folds: Number of folds. With 1 a single validation part, a fifth of the development patients, is drawn.
        seed: Same table and seed, same split.

    Returns:
        A split with the test patients that the table itself names, where it names any and ``test_fraction`` is above
        0; else one in which the patients' classes are spread as evenly as their numbers allow: a class of at least two
        patients has one on the test and one on the development side; a single one goes to development.

    Raises:
        ValueError: ``test_fraction`` is not in [0, 1) or ``folds`` is below 1.
        DataError: There are too few patients for so many parts.
    """
    if not 0 <= test_fraction < 1 or folds < 1:
        raise ValueError(f"test_fraction must be in [0, 1) and folds at least 1; received {test_fraction}, {folds}")
    strata = _strata(table)
    rng = np.random.default_rng(seed)
    shuffled = [[stratum[int(position)] for position in rng.permutation(len(stratum))] for stratum in strata]
    given = {case.patient_id for case in table.cases if case.side == _TEST} if test_fraction > 0 else set()
    if given:
        # Given ones first, so that the rest of each class is dealt as ever.
        shuffled = [sorted(stratum, key=lambda patient: patient not in given) for stratum in shuffled]
        held_out = [sum(patient in given for patient in stratum) for stratum in shuffled]
    else:
        held_out = _allocate([len(stratum) for stratum in strata], test_fraction)
    test = [patient for stratum, n in zip(shuffled, held_out, strict=True) for patient in stratum[:n]]
    # Dealing on where the last class stopped keeps the fold sizes within one of each other.
    development = [patient for stratum, n in zip(shuffled, held_out, strict=True) for patient in stratum[n:]]
    parts = max(folds, 2)
    if len(development) < parts or (test_fraction > 0 and not test):
        raise DataError(
            expected=(f"a test set ({test_fraction:.0%} of the patients) and " if test_fraction > 0 else "")
            + f"at least {parts}{' more' if test_fraction > 0 else ' patients'} for {folds} folds",
            found=f"{len(test) + len(development)} patients",
            remedy="Use fewer folds, a smaller test set or more data.",
        )
    if folds > 1:
        dealt = [development[fold::folds] for fold in range(folds)]
    else:
        dealt = [development[:: min(_SINGLE_FOLD_PARTS, len(development))]]
    return Split(tuple(sorted(test)), tuple(tuple(sorted(fold)) for fold in dealt), seed)


def _strata(table: CaseTable) -> list[list[str]]:
    worst: dict[str, int] = {}
    for patient, label in zip(table.patient_ids, table.labels.tolist(), strict=True):
        worst[patient] = max(label, worst.get(patient, 0))
    # Sorted, so that the order of the table's rows changes nothing.
    return [
        sorted(patient for patient, label in worst.items() if label == wanted)
        for wanted in range(len(table.class_names))
    ]


def _allocate(sizes: list[int], fraction: float) -> list[int]:
    """How many of each class to hold out: largest remainders, then no class of two or more without one."""
    if fraction == 0:
        return [0] * len(sizes)
    exact = [size * fraction for size in sizes]
    counts = [int(value) for value in exact]
    missing = max(1, round(sum(exact))) - sum(counts)
    by_remainder = sorted(range(len(sizes)), key=lambda k: (counts[k] - exact[k], k))
    for k in by_remainder[: max(0, missing)]:
        counts[k] += 1
    return [min(max(count, 1), size - 1) if size > 1 else 0 for count, size in zip(counts, sizes, strict=True)]


def _rows(table: CaseTable, patients: Iterable[str]) -> NDArray[np.int64]:
    return np.flatnonzero(np.isin(np.array(table.patient_ids), sorted(patients))).astype(np.int64)


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


def require_every_class(table: CaseTable, held_out: Split | None) -> None:
    """See that each class is large enough for a hold-out and folds, and the held-out patients show the endpoint.

    Args:
        table: The cases.
        held_out: The split whose test patients are set aside for a final evaluation; None where none are.

    Raises:
        DataError: A class has fewer patients than parts that need one (training, validation and the held-out ones), or
            a hold-out that the user gave has the worst class alone, or not at all.
    """
    least = 3 if held_out else 2
    small = {name: count for name, count in table.patients_of_classes.items() if count < least}
    if small:
        shown = "; ".join(
            f"{count} of {name!r} ({', '.join(case.image_id for case in table.cases if case.label == name)[:80]})"
            for name, count in small.items()
        )
        raise DataError(
            expected=f"at least {least} patients of each class, for training, validation"
            + (" and the held-out patients" if held_out else ""),
            found=shown,
            remedy="Correct those labels if they are slips, join the class with another, or add patients of it.",
        )
    if held_out is None:
        return
    there, worst = table.take(held_out.test_rows(table)).labels, len(table.class_names) - 1
    if len(set((there == worst).tolist())) < 2:
        raise DataError(
            expected=f"both sides of {table.primary_endpoint} among the held-out patients",
            found=f"{'only' if worst in there else 'no'} {table.class_names[-1]!r} in the {len(there)} images given",
            remedy="Give other patients in the split column or file, or none, and they are drawn.",
        )


def _unreadable(path: Path, found: str) -> DataError:
    return DataError(
        expected=f"a split table with the columns {', '.join(_COLUMNS)}",
        found=f"{found} in {path}",
        remedy="Name the split.csv of a run, or restore it.",
    )


def fold_positions(table: CaseTable, split: Split) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]:
    """(training, validation) positions among the development rows of a table, for each fold of a split."""
    rows = split.development_rows(table)
    folds = (split.fold_rows(table, fold) for fold in range(len(split.folds)))
    return tuple((np.searchsorted(rows, training), np.searchsorted(rows, validation)) for training, validation in folds)
