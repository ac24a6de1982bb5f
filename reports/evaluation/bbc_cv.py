"""BBC-CV: what the winner's cross-validated score would be without the luck of having been chosen.

Tsamardinos, Greasidou & Borboudakis (Machine Learning 2018): bootstrap the out-of-fold predictions of all candidates
together; choose the best candidate on the cases that were drawn, score it on those that were not; the mean over the
resamples estimates what choosing yields. No model is trained again.

The candidates are the full-budget trials, at the epoch that they are scored by.

Two deviations. Patients are drawn, not cases. And an AUC is computed within each fold and averaged over the folds that
define it, as the search's objective is: scores of different fold models share no scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.errors import ReportError
from reports.metrics.auc import Floats, fold_averaged_macro_auc
from reports.metrics.intervals import LEVEL, Interval
from reports.metrics.resampling import RESAMPLES, check_folds, patient_weights
from reports.metrics.table import defined_or_none


@dataclass(frozen=True)
class SelectionCorrection:
    """The winner's score before and after the correction.

    Attributes:
        selected: Score of the best candidate on all cases: selected, optimistic.
        winner: Its position among the candidates.
        corrected: BBC-CV's estimate with percentile limits.
        candidates: Number of candidates.
        resamples: Bootstrap resamples of patients.
        stability: Share of the resamples in which the same one was chosen.
    """

    selected: float | None
    winner: int
    corrected: Interval
    candidates: int
    resamples: int
    stability: float


def bbc_cv(
    labels: NDArray[np.integer],
    probabilities: Floats,
    patient_ids: tuple[str, ...],
    folds: NDArray[np.integer],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> SelectionCorrection:
    """Corrects the macro one-vs-rest AUC of the best of several candidates for the choice.

    Args, errors: As `incumbents`, whose last it is.

    Returns:
        The correction; with a single candidate it is the out-of-bag score of that one.
    """
    return incumbents(labels, probabilities, patient_ids, folds, resamples=resamples, seed=seed)[-1]


def incumbents(
    labels: NDArray[np.integer],
    probabilities: Floats,
    patient_ids: tuple[str, ...],
    folds: NDArray[np.integer],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[SelectionCorrection, ...]:
    """`bbc_cv` of the first candidate, of the first two, and so on, in about the time of the last one.

    Args:
        labels: Class index, int [n].
        probabilities: Out-of-fold probabilities of each candidate in the order of the search, finite, float64
            [candidates, n, classes].
        patient_ids: Patient of each case, n.
        folds: The fold that each case was validated in, int [n].
        resamples: Bootstrap resamples of patients.
        seed: Seed of the draw.

    Returns:
        One a candidate.

    Raises:
        ReportError: If the shapes don't fit, or a patient stands in two folds.
    """
    scores = _checked(labels, probabilities, patient_ids, folds)
    whole = fold_averaged_macro_auc(labels, scores, folds, np.ones((1, len(labels))))[:, 0]
    found = []
    for candidate, (chosen, replicates) in enumerate(_choices(labels, scores, patient_ids, folds, resamples, seed)):
        # Not defined for one, not defined for any: that is of the labels and the folds.
        winner = int(whole[: candidate + 1].argmax())
        found.append(
            SelectionCorrection(
                selected=defined_or_none(whole[winner]),
                winner=winner,
                corrected=_percentiles(replicates),
                candidates=candidate + 1,
                resamples=resamples,
                stability=float((chosen == winner).mean()),
            )
        )
    return tuple(found)


def corrected_difference(
    labels: NDArray[np.integer],
    probabilities: tuple[Floats, Floats],
    patient_ids: tuple[str, ...],
    folds: NDArray[np.integer],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """What one search's choice has over another's, each corrected for its own: BBC-CV on the same resamples.

    Args:
        labels, patient_ids, folds, resamples, seed: As in `incumbents`, the same for both.
        probabilities: Of the candidates of each search.

    Returns:
        First − second, with percentile limits.
    """
    first, second = (_checked(labels, each, patient_ids, folds) for each in probabilities)
    ends = [[*_choices(labels, each, patient_ids, folds, resamples, seed)][-1][1] for each in (first, second)]
    return _percentiles(ends[0] - ends[1])


def _checked(
    labels: NDArray[np.integer], probabilities: Floats, patient_ids: tuple[str, ...], folds: NDArray[np.integer]
) -> Floats:
    scores = np.asarray(probabilities, np.float64)
    if scores.ndim != 3 or not len(scores) or not (scores.shape[1] == len(labels) == len(patient_ids) == len(folds)):
        raise ReportError(
            expected="probabilities [candidates, n, classes] and n labels, patients and folds",
            found=f"{list(scores.shape)}, {len(labels)}, {len(patient_ids)}, {len(folds)}",
            remedy="Take the out-of-fold predictions of the trials that were compared, in one order of cases.",
        )
    check_folds(patient_ids, folds)
    return scores


def _choices(
    labels: NDArray[np.integer],
    scores: Floats,
    patient_ids: tuple[str, ...],
    folds: NDArray[np.integer],
    resamples: int,
    seed: int,
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """After each candidate: which one each resample chooses so far, and its score on who was not drawn [resamples]."""
    drawn = patient_weights(patient_ids, resamples=resamples, seed=seed)
    best, replicates = np.full(resamples, -np.inf), np.full(resamples, np.nan)
    chosen = np.full(resamples, -1)
    for candidate, score in enumerate(scores[:, np.newaxis]):
        inside = fold_averaged_macro_auc(labels, score, folds, drawn)[0]
        # Of equal ones the first stays, as in the search; what is not defined is larger than nothing.
        better = np.flatnonzero(inside > best)
        if len(better):
            outside = (drawn[better] == 0).astype(np.float64)
            best[better], chosen[better] = inside[better], candidate
            replicates[better] = fold_averaged_macro_auc(labels, score, folds, outside)[0]
        yield chosen.copy(), replicates.copy()


def _percentiles(replicates: Floats) -> Interval:
    good = replicates[np.isfinite(replicates)]
    undefined = len(replicates) - len(good)
    if not len(good):
        return Interval(None, None, None, LEVEL, "bbc-cv", undefined)
    lower, upper = np.quantile(good, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return Interval(float(good.mean()), lower, upper, LEVEL, "bbc-cv", undefined)
