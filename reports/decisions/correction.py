"""Which correction of the probabilities is applied: four are compared out of fold, and what does not help is not.

The four are none, the prior shift, the temperature, and both (`reports.decisions.probabilities`). Each is fitted on
all folds but one and tried on the patients of that one, fold by fold, by log loss. A fold's predictions are another
model's than those that the correction was fitted on, as the exported model's are, so a scale that differs between the
fold models shows here as a correction that does not help.

The rule: a correction may be applied where its cross-fitted log loss is below that of the plain probabilities by more
than `MARGIN` standard errors of the difference; of those that may, the one with the smallest loss is. The standard
error is the larger one of two: over patients, for two breasts of a woman are no two cases, and over folds, for the
cases of a fold share their model. Otherwise the plain probabilities stand.

Why one standard error: simulated (``tests/benchmarks/bench_corrections.py``: 120 women, 48 kinds of network and data,
25 sets each) it makes the log loss of new women worse by more than 0.01 nats in 1.5 % of the sets and lowers it by
0.087 in the mean. With the textbook's shift beside a temperature, 1.5 % and 0.088 too, for these networks have learned
the world that they were shown; real ones have not (``tests/benchmarks/README.md``). Measured with that shift: no
margin, 3.6 % (0.089); two standard errors, 0.6 % (0.079); the better one of temperature and both whatever the folds
say, 12.9 % (0.064).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from reports.decisions.probabilities import (
    Kind,
    ProbabilityCorrection,
    fit_temperature,
    log_losses,
    log_prior_shift,
    logits_of,
)
from reports.metrics.auc import Floats
from reports.metrics.resampling import check_folds
from reports.predictions import Predictions

MARGIN = 1.0
"""Standard errors by which a correction has to be better than none."""

GROUPS = 5
"""Groups of patients that stand for folds where a search has only one."""


@dataclass(frozen=True)
class CandidateCorrection:
    """How one of the four did on patients that it was not fitted on.

    Attributes:
        name: "none", "prior", "temperature" or "both".
        log_loss: Mean cross-fitted log loss of an image, in nats; None where it could not be tried, for the patients
            that are left for fitting lack a class or are none.
        difference: That less the one of "none": below 0 it helps.
        standard_error: Of the difference, the larger one of that over patients and that over folds.
    """

    name: Kind
    log_loss: float | None
    difference: float | None
    standard_error: float | None


@dataclass(frozen=True)
class ChosenCorrection:
    """The correction that is applied, and those that it was chosen from.

    Attributes:
        correction: Fitted on all cases; that of "none" changes nothing.
        candidates: All that were compared.
    """

    correction: ProbabilityCorrection
    candidates: tuple[CandidateCorrection, ...]


def fit_correction(
    development: Predictions,
    training_shares: Sequence[float] | None = None,
    *,
    folds: NDArray[np.integer] | None = None,
    seed: int = 0,
) -> ChosenCorrection | None:
    """The correction of a model's probabilities, by the rule of the module.

    Args:
        development: The winner's out-of-fold predictions, at natural prevalence.
        training_shares: Class shares that the training sampler drew; None where it drew at natural prevalence, and
            there is no prior to put back.
        folds: Fold that each case was predicted in, int [n], each patient in one. With one fold, or None, patients are
            drawn into `GROUPS` groups, stratified by their worst label.
        seed: Seed of that draw.

    Returns:
        The choice, or None where a class has no case: its prior and its temperature can't be known then.

    Raises:
        ReportError: If a patient stands in two folds.
    """
    if not np.bincount(development.labels, minlength=len(development.class_names)).all():
        return None
    if folds is None or len(np.unique(folds)) < 2:
        folds = _groups(development, seed)
    check_folds(development.patient_ids, folds)
    kinds = [kind for kind in get_args(Kind) if training_shares is not None or kind in ("none", "temperature")]
    losses = {kind: _cross_fitted(development, kind, training_shares, folds) for kind in kinds}
    plain = losses["none"]
    candidates = [_candidate(kind, losses[kind], plain, development.patient_ids, folds) for kind in kinds]
    # "none" is better than itself by nothing, so it stands first and is chosen where no other may be applied.
    good = [each for each in candidates if each.name == "none" or _helps(each)]
    chosen = min(good, key=lambda each: math.inf if each.log_loss is None else each.log_loss)
    return ChosenCorrection(_fit(development, chosen.name, training_shares), tuple(candidates))


def _helps(candidate: CandidateCorrection) -> bool:
    difference, error = candidate.difference, candidate.standard_error
    return difference is not None and error is not None and difference + MARGIN * error < 0


def _candidate(
    kind: Kind, losses: Floats | None, plain: Floats | None, patients: tuple[str, ...], folds: NDArray[np.integer]
) -> CandidateCorrection:
    if losses is None or plain is None:
        return CandidateCorrection(kind, None, None, None)
    differences = losses - plain
    units = (np.array(patients, dtype=str), folds)
    error = max(_standard_error(differences, unit) for unit in units)
    return CandidateCorrection(kind, float(losses.mean()), float(differences.mean()), error)


def _standard_error(values: Floats, unit: NDArray[Any]) -> float:
    """Of the mean over cases, when whole units (two or more) are drawn."""
    _, position = np.unique(unit, return_inverse=True)
    sums = np.bincount(position, weights=values - values.mean())
    return float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(values))


def _cross_fitted(
    development: Predictions, kind: Kind, training_shares: Sequence[float] | None, folds: NDArray[np.integer]
) -> Floats | None:
    """Log loss of each case under the correction that the other folds' cases gave, float64 [n]."""
    losses = np.empty(len(development))
    for fold in np.unique(folds):
        tried, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if not np.bincount(development.labels[others], minlength=len(development.class_names)).all():
            return None
        correction = _fit(development.take(others), kind, training_shares)
        part = development.take(tried)
        losses[tried] = log_losses(
            logits_of(part) / correction.temperature + np.array(correction.log_prior_shift), part.labels
        )
    return losses


def _fit(cases: Predictions, kind: Kind, training_shares: Sequence[float] | None) -> ProbabilityCorrection:
    """A correction of a kind from cases of every class."""
    logits, classes = logits_of(cases), len(cases.class_names)
    shift = None
    if kind in ("prior", "both") and training_shares is not None:
        shift = log_prior_shift(np.bincount(cases.labels, minlength=classes), training_shares)
    if kind in ("temperature", "both"):
        return fit_temperature(logits, cases.labels, shift=shift, independent=cases.n_patients)
    shift = shift or (0.0,) * classes
    loss = float(log_losses(logits + np.array(shift), cases.labels).mean())
    return ProbabilityCorrection(1.0, shift, len(cases), loss)


def _groups(development: Predictions, seed: int) -> NDArray[np.int64]:
    """A group for each case, int64 [n]; the patients of each worst label are dealt evenly."""
    patients, position = np.unique(np.array(development.patient_ids, dtype=str), return_inverse=True)
    worst = np.zeros(len(patients), np.int64)
    np.maximum.at(worst, position, development.labels)
    drawn = np.random.default_rng(seed).permutation(len(patients))
    dealt = drawn[np.argsort(worst[drawn], kind="stable")]
    groups = np.empty(len(patients), np.int64)
    groups[dealt] = np.arange(len(patients)) % GROUPS
    return groups[position]
