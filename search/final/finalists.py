"""The finalists of a search: its trials at the full budget, and what each said of the patients of its validation folds.

Their files are read once; what is told of the choice among them follows from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports import SelectionCorrection, TrialRecord, convergence, incumbents, ranked, ranking
from search.trials.out_of_fold import OutOfFold, read_out_of_fold


@dataclass(frozen=True)
class Finalists:
    """At least one.

    Attributes:
        records: Their trials, the winner first.
        tables: Out-of-fold predictions of each at the epoch that it is scored by, all of the same cases.
    """

    records: tuple[TrialRecord, ...]
    tables: tuple[OutOfFold, ...]

    @property
    def winner(self) -> OutOfFold:
        """What the winner said."""
        return self.tables[0]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Of all, by their numbers [finalists, cases, classes]: of equal ones the first is chosen, as in the search."""
        by_number = sorted(zip(self.records, self.tables, strict=True), key=lambda each: each[0].trial)
        return np.stack([table.predictions.probabilities for _, table in by_number])

    def corrected(self, *, seed: int) -> tuple[tuple[TrialRecord, SelectionCorrection], ...]:
        """After each of them, in the order of their numbers, the best one so far corrected for the choice (BBC-CV).

        Args:
            seed: Of the resamples.
        """
        cases, folds = self.winner.predictions, self.winner.folds
        found = incumbents(cases.labels, self.probabilities, cases.patient_ids, folds, seed=seed)
        return tuple(zip(sorted(self.records, key=lambda each: each.trial), found, strict=True))

    def about(self) -> dict[str, Any]:
        """The sections ``convergence`` and ``ranking`` of metrics.json."""
        labels, folds, classes = self.winner.predictions.labels, self.winner.folds, self.winner.predictions.class_names
        counts = [np.bincount(labels[folds == fold], minlength=len(classes)) for fold in np.unique(folds)]
        found: dict[str, Any] = {"convergence": asdict(convergence(self.records[0], np.array(counts)))}
        compared = ranking(self.records, [(table.predictions, table.folds) for table in self.tables])
        return found if compared is None else found | {"ranking": asdict(compared)}


def read_finalists(oof: Path, records: Sequence[TrialRecord], class_names: Sequence[str]) -> Finalists:
    """Read the finalists' files.

    Args:
        oof: The folder ``oof`` of the search.
        records: All trials, at least one of them completed.
        class_names: Ordered class names.

    Raises:
        RunError: If a file is missing or damaged.
    """
    finalists = tuple(ranked(records))
    return Finalists(finalists, tuple(read_out_of_fold(oof, each, records, class_names) for each in finalists))
