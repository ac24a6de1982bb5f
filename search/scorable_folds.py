"""Whether a search can have an objective at all: some fold that trials use has to validate on every class.

A macro AUC has no value in a fold that lacks a class, and a search averages over the folds that have one. Where none
has, every run would be trained to its end and then have no score; the labels say so before anything is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mammo_data.errors import DataError

if TYPE_CHECKING:
    from mammo_data.cases import CaseTable
    from mammo_data.splits import Split


def require_scorable(table: CaseTable, split: Split, *, folds: int) -> None:
    """See that the objective will be defined.

    Args:
        table: The images or crops of a search; only patients and labels are looked at.
        split: Which patients are held out, and the folds of the others.
        folds: How many of the split's folds trials use.

    Raises:
        DataError: If each of these lacks a class among its validation patients.
    """
    missing = [_missing(table, split, fold) for fold in range(len(split.folds))]
    if not all(missing[:folds]):
        return
    enough = next((number for number, names in enumerate(missing, start=1) if not names), None)
    more = [] if enough is None else [f"use more folds with --folds {enough}"]
    if len(split.folds) > 2:
        more.append("deal into fewer parts with a smaller split.folds")
    remedy = ", or ".join([*more, "use data with more patients of that class"])
    used = missing[:folds]
    found = "; ".join(
        f"no {' and no '.join(names)} in fold {', '.join(str(n) for n, each in enumerate(used, 1) if each == names)}"
        for names in dict.fromkeys(used)
    )
    raise DataError(
        expected="a fold whose validation patients are of every class, or no run of the search has a score",
        found=f"{found or 'no fold'} (of {len(split.folds)}, {len(used)} in use)",
        remedy=f"{remedy[0].upper()}{remedy[1:]}.",
    )


def _missing(table: CaseTable, split: Split, fold: int) -> tuple[str, ...]:
    """Classes without an image on the validation side of a fold."""
    _, validation = split.fold_rows(table, fold)
    counts = np.bincount(table.labels[validation], minlength=len(table.class_names))
    return tuple(name for name, count in zip(table.class_names, counts, strict=True) if not count)
