"""Objective and primary endpoint: whether both would have chosen the same trial.

A search maximises the macro one-vs-rest AUC, which has something to say of every image; the primary endpoint, the worst
class against the rest, hangs on a few images a fold and is what the run is judged by. They may rank trials differently,
and a reader has to know: not to choose again (that would be a second choice on the same patients), but to see how far
the choice hung on the criterion.

Both are means over the folds: scores of different fold models share no scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.metrics.auc import binary_auc
from reports.metrics.table import endpoints, primary_scores
from reports.predictions import Predictions
from reports.trials import TrialRecord


@dataclass(frozen=True)
class RankedTrial:
    """A full-budget trial by both criteria.

    Attributes:
        trial: Its number.
        objective: Mean over the folds of the macro one-vs-rest AUC.
        primary_auc: Mean over the folds of the primary endpoint's AUC, out of fold; folds without a case of one side
            are left out.
    """

    trial: int
    objective: float
    primary_auc: float


@dataclass(frozen=True)
class Ranking:
    """The full-budget trials by the objective and by the primary endpoint.

    Attributes:
        chosen: The trial that the objective names, the winner.
        by_primary: The one that the primary endpoint would have named, of equal ones the better by the objective.
        trials: All of them, best by the objective first.
        sentence: What that comes to, for a reader.
    """

    chosen: int
    by_primary: int
    trials: tuple[RankedTrial, ...]
    sentence: str


def ranking(
    records: Sequence[TrialRecord], out_of_fold: Sequence[tuple[Predictions, NDArray[np.integer]]]
) -> Ranking | None:
    """Ranks the full-budget trials by both criteria.

    Args:
        records: The trials that are compared, best first: `reports.trials.ranked`.
        out_of_fold: Out-of-fold predictions of each and the fold of each case, int [n], at the epoch that the trial is
            scored at.

    Returns:
        The ranking; None where there are fewer than two trials, or the primary AUC is not defined on these cases.
    """
    tables = list(zip(records, out_of_fold, strict=True))
    values = [(record.trial, record.objective, fold_primary_auc(*table)) for record, table in tables]
    trials = tuple(
        RankedTrial(trial, objective, primary)
        for trial, objective, primary in values
        if objective is not None and primary is not None
    )
    if len(trials) < 2:
        return None
    chosen, by_primary = trials[0], max(trials, key=lambda trial: trial.primary_auc)
    endpoint = endpoints(out_of_fold[0][0])[0].name
    return Ranking(chosen.trial, by_primary.trial, trials, _sentence(endpoint, chosen, by_primary))


def _sentence(endpoint: str, chosen: RankedTrial, by_primary: RankedTrial) -> str:
    if chosen == by_primary:
        return f"The objective and the primary endpoint name the same full-budget trial, {chosen.trial}."
    return (
        f"By the primary endpoint ({endpoint}) trial {by_primary.trial} would have been chosen, not {chosen.trial}: "
        f"AUC {by_primary.primary_auc:.3f} against {chosen.primary_auc:.3f} out of fold, means over the folds; the "
        "best of several is optimistic."
    )


def fold_primary_auc(predictions: Predictions, folds: NDArray[np.integer]) -> float | None:
    """Mean over the folds of the primary endpoint's AUC, 0 to 1.

    Args:
        predictions: Out of fold, n cases.
        folds: The fold that each was validated in, int [n].

    Returns:
        Over the folds that define it; None where none does.
    """
    positive, scores = primary_scores(predictions)
    values = np.array([binary_auc(positive[folds == fold], scores[folds == fold]) for fold in np.unique(folds)])
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
