"""A baseline before and after the held-out patients are read, and the answer that all of them give: two sections of
metrics.json, whether the search was worth it and whether there was enough of what it used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammo_data import PreparedSet
from reports import BaselineResult, Evaluation, Predictions, SelectionCorrection, TrialRecord, baselines_section

_Probabilities = tuple[NDArray[np.float64], ...]


@dataclass(frozen=True)
class Baseline:
    """A model without a search.

    Attributes:
        result: What is known of it before the held-out patients are read.
        fingerprints: SHA-256 (hex) of each of its models, the first seed's first.
        said: From prepared images and rows to the class probabilities of each of its models, float64 [rows, classes].
    """

    result: BaselineResult
    fingerprints: tuple[str, ...]
    said: Callable[[PreparedSet, NDArray[np.int64]], _Probabilities]


@dataclass(frozen=True)
class Baselines:
    """All baselines of a run.

    Attributes:
        each: In the order of the report.
        by_patients: The learning curve of the linear probe: a point has ``share``, ``patients`` (mean over the folds)
            and ``macro_ovr_auc``.
    """

    each: tuple[Baseline, ...]
    by_patients: tuple[dict[str, Any], ...]

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """SHA-256 (hex) of all their models."""
        return tuple(name for baseline in self.each for name in baseline.fingerprints)

    def said(self, prepared: PreparedSet, rows: NDArray[np.int64]) -> _Probabilities:
        """Class probabilities of some prepared images by each model, in the order of `fingerprints`."""
        return tuple(table for baseline in self.each for table in baseline.said(prepared, rows))

    def results(self, held_out: Sequence[Predictions]) -> tuple[BaselineResult, ...]:
        """The results with what the models said of the held-out patients, in the order of `fingerprints`."""
        tables = iter(held_out)
        return tuple(baseline.result.on(tuple(next(tables) for _ in baseline.fingerprints)) for baseline in self.each)


def with_answer(
    evaluation: Evaluation,
    baselines: Baselines,
    held_out: Sequence[Predictions],
    corrected: Sequence[tuple[TrialRecord, SelectionCorrection]],
    *,
    seed: int,
) -> Evaluation:
    """The evaluation with its baselines, ``baselines`` and ``enough`` in its metrics (`reports.evaluation.baselines`).

    Args:
        evaluation: Of the exported model.
        baselines: What it is compared with.
        held_out: What their models say of the same patients, in the order of their fingerprints.
        corrected: The best trial so far after each at the full budget, corrected for the choice.
        seed: Of the resamples.
    """
    results = baselines.results(held_out)
    trials = [
        {
            "trials": best.candidates,
            "trial": record.trial,
            "selected": best.selected,
            "macro_ovr_auc": asdict(best.corrected),
        }
        for record, best in corrected
    ]
    found = {
        "baselines": baselines_section(evaluation.predictions, results, corrected[-1][1], seed=seed),
        "enough": {"by_trials": trials, "by_patients": list(baselines.by_patients)},
    }
    return replace(evaluation, metrics={**evaluation.metrics, **found}, baselines=results)
