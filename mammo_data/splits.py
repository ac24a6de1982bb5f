"""The hold-out and the folds: patients, not images, and each patient on one side only.

A `Split` holds patient ids, so a woman's two breasts can't part; rows of a case table are derived from it.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import CaseTable
from mammo_data.errors import DataError
from mammo_data.files import sha256_of, write_whole
from mammo_data.truth.patient_key import spelled, two_spellings

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
        DataError: A patient stands on two sides.
    """

    test_patients: tuple[str, ...]
    folds: tuple[tuple[str, ...], ...]
    seed: int

    def __post_init__(self) -> None:
        counts = Counter([*self.test_patients, *itertools.chain(*self.folds)])
        if twice := [patient for patient, count in counts.items() if count > 1]:
            raise DataError(
                expected="each patient on one side of the split",
                found=f"patient {twice[0]} on two",
                remedy="Make the split anew.",
            )

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
        try:
            rows = _table_rows(path)
            sides = sorted({(row["patient_id"], row["side"]) for row in rows})
            numbers = sorted({int(side) for _, side in sides if side not in (_TEST, _TRAINING)})
            seed = int(rows[0]["seed"])
        except OSError as error:
            raise _unreadable(path, error.strerror or str(error)) from error
        except KeyError as error:
            raise _unreadable(path, f"no column {error}") from error
        except (UnicodeDecodeError, csv.Error, AttributeError, ValueError, IndexError, TypeError) as error:
            raise _unreadable(path, f"another kind of file ({type(error).__name__})") from error
        if numbers != list(range(len(numbers))):
            raise _unreadable(path, f"folds {numbers}")
        if len(dict(sides)) != len(sides):
            raise _unreadable(path, "a patient on two sides")
        doubtful = two_spellings(patient for patient, _ in sides)
        if doubtful is not None:
            raise _unreadable(path, f"two spellings of one patient, {' and '.join(map(spelled, doubtful))},")
        folds = tuple(tuple(patient for patient, side in sides if side == str(number)) for number in numbers)
        return cls(tuple(patient for patient, side in sides if side == _TEST), folds, seed)


def patients_listed(path: Path) -> set[str]:
    """Ids of all patients of a file that `Split.read_csv` reads, those included that every fold trains on."""
    return {row["patient_id"] for row in _table_rows(path)}


def _table_rows(path: Path) -> list[dict[str, str]]:
    """The lines of a table as spreadsheets save it: with a byte order mark or not, with commas, semicolons or tabs."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    separator = max(",;\t", key=lines[0].count) if lines else ","
    rows = csv.DictReader(lines, delimiter=separator)
    return [{column.strip().lower(): cell.strip() for column, cell in row.items()} for row in rows if any(row.values())]


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
    given = _given_test_patients(table) if test_fraction > 0 else set()
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


def _given_test_patients(table: CaseTable) -> set[str]:
    test = {case.patient_id for case in table.cases if case.side == _TEST}
    for case in table.cases:
        if case.patient_id in test and case.side != _TEST:
            raise DataError(
                expected="each patient on one side of the split",
                found=f"patient {case.patient_id} with images in test and outside it",
                remedy="Correct the split column.",
            )
    return test


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
