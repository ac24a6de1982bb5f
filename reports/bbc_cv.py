"""BBC-CV: what the winner's cross-validated score would be without the luck of having been chosen.

Tsamardinos, Greasidou & Borboudakis (Machine Learning 2018): bootstrap the out-of-fold predictions of all candidates
together; choose the best candidate on the cases that were drawn, score it on those that were not; the mean over the
resamples estimates what choosing yields. No model is trained again.

Two deviations. Patients are drawn, not cases. And an AUC is computed within each fold and averaged over the folds that
define it, as the search's objective is: scores of different fold models share no scale.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.auc import Floats, WeightedRanking
from reports.errors import ReportError
from reports.intervals import LEVEL, RESAMPLES, Interval, patient_weights
from reports.metrics import defined_or_none


@dataclass(frozen=True)
class SelectionCorrection:
    """The winner's score before and after the correction.

    Attributes:
        selected: Score of the best candidate on all cases: selected, optimistic.
        winner: Its position among the candidates.
        corrected: BBC-CV's estimate with percentile limits.
        candidates: Number of candidates.
        resamples: Bootstrap resamples of patients.
        stability: Share of the resamples in which the same candidate was chosen.
    """

    selected: float | None
    winner: int
    corrected: Interval
    candidates: int
    resamples: int
    stability: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self)


def bbc_cv(
    labels: NDArray[np.integer],
    probabilities: Floats,
    patient_ids: tuple[str, ...],
    folds: NDArray[np.integer],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> SelectionCorrection:
    """Corrects the macro one-vs-rest AUC of the best of several candidates for the choice.

    Args:
        labels: Class index, int [n].
        probabilities: Out-of-fold probabilities of each full-budget run, float64 [candidates, n, classes].
        patient_ids: Patient of each case, n.
        folds: The fold that each case was validated in, int [n].
        resamples: Bootstrap resamples of patients.
        seed: Seed of the draw.
        level: Coverage.

    Returns:
        The correction; with a single candidate it is the out-of-bag score of that one.

    Raises:
        ReportError: If the shapes don't fit, or a patient stands in two folds.
    """
    scores = np.asarray(probabilities, np.float64)
    if scores.ndim != 3 or not len(scores) or not (scores.shape[1] == len(labels) == len(patient_ids) == len(folds)):
        raise ReportError(
            expected="probabilities [candidates, n, classes] and n labels, patients and folds",
            found=f"{list(scores.shape)}, {len(labels)}, {len(patient_ids)}, {len(folds)}",
            remedy="Take the out-of-fold predictions of the full-budget runs, in one order of cases.",
        )
    if len(set(zip(patient_ids, np.asarray(folds).tolist(), strict=True))) != len(set(patient_ids)):
        raise ReportError(
            expected="each patient in one fold",
            found="a patient in two folds",
            remedy="Make the folds by patient; otherwise the out-of-fold score leaks.",
        )
    drawn = patient_weights(patient_ids, resamples=resamples, seed=seed)
    weights = np.concatenate([np.ones((1, len(labels))), drawn, (drawn == 0).astype(np.float64)])
    values = np.stack([fold_averaged_macro_auc(labels, candidate, folds, weights) for candidate in scores])
    whole, inside, outside = values[:, 0], values[:, 1 : resamples + 1], values[:, resamples + 1 :]
    if np.isnan(whole).all():
        empty = Interval(None, None, None, level, "bbc-cv", resamples)
        return SelectionCorrection(None, 0, empty, len(scores), resamples, 0.0)
    # A candidate without a score can't win; the first of equal ones does, as in the search.
    chosen = np.nan_to_num(inside, nan=-1.0).argmax(axis=0)
    replicates = outside[chosen, np.arange(resamples)]
    good = replicates[np.isfinite(replicates)]
    winner = int(np.nan_to_num(whole, nan=-1.0).argmax())
    limits = np.quantile(good, [(1 - level) / 2, (1 + level) / 2]) if len(good) else [np.nan, np.nan]
    return SelectionCorrection(
        selected=defined_or_none(whole[winner]),
        winner=winner,
        corrected=Interval(
            defined_or_none(good.mean() if len(good) else np.nan),
            defined_or_none(limits[0]),
            defined_or_none(limits[1]),
            level,
            "bbc-cv",
            resamples - len(good),
        ),
        candidates=len(scores),
        resamples=resamples,
        stability=float((chosen == winner).mean()),
    )


def fold_averaged_macro_auc(
    labels: NDArray[np.integer], probabilities: Floats, folds: NDArray[np.integer], weights: Floats
) -> Floats:
    """Macro one-vs-rest AUC within each fold, averaged over folds and classes that define it.

    Args:
        labels: int [n].
        probabilities: float64 [n, classes].
        folds: int [n].
        weights: Case weights, float64 [resamples, n].

    Returns:
        float64 [resamples]; NaN where a class is defined in no fold.
    """
    classes = []
    for index in range(probabilities.shape[1]):
        per_fold = [
            WeightedRanking.of(labels[rows] == index, probabilities[rows, index], weights[:, rows]).auc()
            for rows in (np.flatnonzero(folds == fold) for fold in np.unique(folds))
        ]
        table = np.stack(per_fold)
        defined = np.isfinite(table)
        count = defined.sum(axis=0)
        total = np.where(defined, table, 0).sum(axis=0)
        classes.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    return np.asarray(np.mean(classes, axis=0))
