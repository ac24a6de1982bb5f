"""Was the search worth it? The winner against models that needed none, and whether there was enough of what it used.

Baselines are read on the same held-out patients as the winner, in the same reading, and the difference is taken on the
same patients. Out of fold the winner has been chosen and they have not: there the winner's score is
BBC-CV's (`reports.evaluation.bbc_cv`), never the selected one.

Two sections of metrics.json, each only where a run has them:

    baselines   list of: name, what (in a few words); out_of_fold: macro_ovr_auc (mean over the folds, with interval)
                and difference (the winner's corrected score less it, null where either is not defined); metrics: name
                to interval, of its own probabilities; calibration: temperature, log_prior_shift, and brier and log_loss
                after the correction by its own out-of-fold predictions, null where there is none; difference: winner −
                baseline of `COMPARED`, intervals; seeds: primary_auc and macro_ovr_auc of each of its models, the first
                one being what all the rest is of
    enough      by_trials: list of trials (so many at the full budget), trial (the last one's number), selected and
                macro_ovr_auc (the best of them, corrected for the choice); by_patients: list of share, patients (of a
                training side) and macro_ovr_auc (the linear probe's, out of fold)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.decisions.correction import fit_correction
from reports.decisions.probabilities import corrected_predictions
from reports.evaluation.bbc_cv import SelectionCorrection
from reports.evaluation.comparison import COMPARED, HeldOut, differences
from reports.evaluation.final_models import ENSEMBLE_METRICS, seed_scores
from reports.metrics.auc import fold_averaged_macro_auc
from reports.metrics.independent import independent_pairs
from reports.metrics.intervals import Interval
from reports.metrics.rates import area_of_values
from reports.metrics.resampling import Jackknife
from reports.predictions import Predictions

LINEAR_PROBE = "linear probe"
FIXED_CONFIGURATION = "fixed configuration"
TRIVIAL_STATISTICS = "trivial statistics"

BASELINES = (LINEAR_PROBE, FIXED_CONFIGURATION, TRIVIAL_STATISTICS)
RIVALS = (LINEAR_PROBE, FIXED_CONFIGURATION)
"""What one would use instead of a search; the trivial statistics are what nobody would, and say what is trivial."""


@dataclass(frozen=True)
class BaselineResult:
    """A model that needed no search.

    Attributes:
        name: What it is called.
        what: What it is, in a few words.
        development: Its out-of-fold predictions.
        folds: The fold that each of these cases was validated in, int [n].
        training_shares: Class shares that it answers for, None where it was trained at natural prevalence.
        held_out: What each of its models says of the held-out patients, the first seed first.
    """

    name: str
    what: str
    development: Predictions
    folds: NDArray[np.integer]
    training_shares: Sequence[float] | None
    held_out: tuple[Predictions, ...] = ()

    def on(self, held_out: tuple[Predictions, ...]) -> BaselineResult:
        """The same with what its models say of the held-out patients."""
        return replace(self, held_out=held_out)


def predictions_name(baseline: str) -> str:
    """Name of the file with a baseline's held-out predictions, without its suffix."""
    return f"predictions_{baseline.replace(' ', '_')}"


def fold_macro_auc(predictions: Predictions, folds: NDArray[np.integer]) -> Interval:
    """The search's objective of out-of-fold predictions: the macro AUC within each fold, averaged over the folds.

    Args:
        predictions: Out of fold.
        folds: The fold that each case was validated in, int [n].

    Returns:
        The mean with its interval.
    """

    jackknife = Jackknife.of(predictions.patient_ids, predictions.labels, folds=folds)
    scores = predictions.probabilities[np.newaxis]
    areas = fold_averaged_macro_auc(predictions.labels, scores, folds, jackknife.weights)[0]
    labels, patients = predictions.labels, predictions.patient_ids
    pairs = min(independent_pairs(labels == index, patients) for index in range(scores.shape[2]))
    return area_of_values(areas, pairs, jackknife)


def baselines_section(
    winner: Predictions,
    results: Sequence[BaselineResult],
    selection: SelectionCorrection | None,
    *,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """``baselines`` of metrics.json.

    Args:
        winner: Held-out predictions of the exported model.
        results: The baselines, with theirs.
        selection: BBC-CV's correction of the winner's out-of-fold score, or None.
        seed: Of the folds that corrections are chosen by.
    """
    corrected = selection.corrected.value if selection else None
    whole, section = HeldOut(winner), []
    for result in results:
        own, on_held_out = fold_macro_auc(result.development, result.folds), HeldOut(result.held_out[0])
        less = differences(whole, on_held_out)
        known = None if corrected is None or own.value is None else corrected - own.value
        section.append(
            {
                "name": result.name,
                "what": result.what,
                "out_of_fold": {"macro_ovr_auc": asdict(own), "difference": known},
                "metrics": {name: asdict(on_held_out.metrics.interval((name,))) for name in ENSEMBLE_METRICS},
                "calibration": _calibration(result, seed),
                "difference": {name: asdict(limits) for name, limits in less.items()},
                "seeds": {name: values for name, values in seed_scores(result.held_out).items() if name in COMPARED},
            }
        )
    return section


def _calibration(result: BaselineResult, seed: int) -> dict[str, Any] | None:
    choice = fit_correction(result.development, result.training_shares, folds=result.folds, seed=seed)
    if choice is None:
        return None
    correction = choice.correction
    after = HeldOut(corrected_predictions(result.held_out[0], correction)).metrics
    return {
        "chosen": correction.kind,
        "temperature": correction.temperature,
        "log_prior_shift": list(correction.log_prior_shift),
        **{name: asdict(after.interval((name,))) for name in ("brier", "log_loss")},
    }
