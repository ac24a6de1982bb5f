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
from mammo_data.split_table import COLUMNS, TEST, TRAINING, read_sides

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
        side = dict.fromkeys(self.test_patients, TEST)
        for number, fold in enumerate(self.folds):
            side.update(dict.fromkeys(fold, str(number)))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for case in table.cases:
            where = side.get(case.patient_id, TRAINING)
            writer.writerow((case.image_id, case.patient_id, case.label, where, self.seed))
        write_whole(path, text.getvalue().encode())

    @classmethod
    def read_csv(cls, path: Path) -> Split:
        """Read what `write_csv` wrote.

        Raises:
            DataError: The file is no such table, or a patient stands on two sides or under two spellings.
        """
        test, folds, seed = read_sides(path)
        return cls(test, folds, seed)


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
    given = {case.patient_id for case in table.cases if case.side == TEST} if test_fraction > 0 else set()
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


def fold_positions(table: CaseTable, split: Split) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]:
    """(training, validation) positions among the development rows of a table, for each fold of a split."""
    rows = split.development_rows(table)
    folds = (split.fold_rows(table, fold) for fold in range(len(split.folds)))
    return tuple((np.searchsorted(rows, training), np.searchsorted(rows, validation)) for training, validation in folds)
