"""Overlap of the sides of a split: patients on two of them, and images under another patient's name."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mammo_data import PreparedSet, Split, duplicate_pairs

HELD_OUT = "held out"


@dataclass(frozen=True)
class SharedPatients:
    """Patients on two sides that have to be apart."""

    sides: tuple[str, str]
    patients: tuple[str, ...]


@dataclass(frozen=True)
class CrossSidePair:
    """The same image on two sides, under the names of two patients."""

    images: tuple[str, str]
    sides: tuple[str, str]
    correlation: float


def shared_patients(split: Split, sides: Mapping[str, Sequence[str]]) -> tuple[int, tuple[SharedPatients, ...]]:
    """Compare the patients of all sides of a split with each other, and further ones with the held-out patients.

    Args:
        split: Who is on which side.
        sides: Patients that a search was given for each side, by its name; none may be held out.

    Returns:
        How many pairs of sides were compared, and those with patients in common.
    """
    held_out = (HELD_OUT, split.test_patients)
    folds = [(f"fold {number}", fold) for number, fold in enumerate(split.folds, start=1)]
    pairs = [*itertools.combinations([held_out, *folds], 2), *((held_out, side) for side in sides.items())]
    found = [
        SharedPatients((first, second), tuple(sorted(set(ours) & set(theirs))))
        for (first, ours), (second, theirs) in pairs
    ]
    return len(pairs), tuple(entry for entry in found if entry.patients)


def same_images(films: PreparedSet, split: Split) -> tuple[CrossSidePair, ...]:
    """Images of one patient that are those of another, too, on another side of the split.

    Args:
        films: Whole images.
        split: Who is on which side.
    """
    side = dict.fromkeys(split.test_patients, HELD_OUT)
    for number, fold in enumerate(split.folds, start=1):
        side.update(dict.fromkeys(fold, f"fold {number}"))
    found = []
    for pair in duplicate_pairs(films.images, films.table.patient_ids):
        first, second = films.table.cases[pair.first], films.table.cases[pair.second]
        sides = (side.get(first.patient_id, "training"), side.get(second.patient_id, "training"))
        if sides[0] != sides[1]:
            found.append(CrossSidePair((first.image_id, second.image_id), sides, round(pair.correlation, 6)))
    return tuple(found)
