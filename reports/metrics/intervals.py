"""Patient-cluster bootstrap intervals: patients are drawn with replacement, all their images with them.

The two breasts of a woman are not two independent cases; an interval that resamples images is too narrow. A resample is
a row of multiplicities, so every metric of `reports.metrics.table` is computed for all resamples in one call.

Methods (Efron & Tibshirani, An Introduction to the Bootstrap, 1993):
    percentile  the quantiles of the replicates (chapter 13)
    bca         bias-corrected and accelerated quantiles; the acceleration from a jackknife over patients (chapter 14)
    logit       normal interval on the logit scale with the replicates' standard deviation; for metrics in (0, 1) only

Share of 2,000 simulated sets (two correlated images a patient, true AUC 0.75) whose 95 % interval holds the truth, from
``tests/benchmarks/test_bootstrap.py``; BCa is the default of the evaluation for it:

    malignants   percentile   BCa      logit
    52 of 322    94.5 %       95.5 %   95.7 %
    10 of 80     92.0 %       94.7 %   96.3 %  (5 % wider than BCa)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from reports.errors import ReportError
from reports.metrics.auc import Floats, ratio
from reports.metrics.table import defined_or_none

Method = Literal["percentile", "bca", "logit"]

RESAMPLES = 2000
LEVEL = 0.95

LEAST_DEFINED = 0.5
"""An interval from fewer than this share of the resamples would describe the lucky ones: it is "not defined"."""

ROUNDING = 1e-12
"""Replicates that are all equal to the value differ from it by this at most."""


@dataclass(frozen=True)
class Interval:
    """A point estimate with its confidence limits.

    Attributes:
        value: The metric on the cases as they are, or None where it is not defined.
        lower: Lower confidence limit, or None.
        upper: Upper confidence limit, or None.
        level: Coverage that was asked for.
        method: How the limits were found: "percentile", "bca", "logit", "wilson", "mover" or "unmoved" (no limits,
            for every resample gives the same).
        undefined: Resamples in which the metric was not defined (a class was not drawn); they are left out.
    """

    value: float | None
    lower: float | None
    upper: float | None
    level: float = LEVEL
    method: str = "percentile"
    undefined: int = 0


def patient_weights(
    patient_ids: tuple[str, ...], *, resamples: int = RESAMPLES, seed: int = 0, folds: NDArray[np.integer] | None = None
) -> Floats:
    """Case weights of patient-cluster resamples.

    Args:
        patient_ids: Patient of each case, n.
        resamples: Number of resamples.
        seed: Seed of the draw; the order of the cases does not matter, for patients are drawn in sorted order.
        folds: Fold of each case, int [n], where patients are to be drawn within their fold; None draws among all.

    Returns:
        Multiplicity of each case, float64 [resamples, n]; all images of a patient share theirs.
    """
    if folds is not None:
        weights = np.empty((resamples, len(patient_ids)))
        # A seed for each fold: with a common one, folds of equal size would draw the same positions together.
        for number, fold in enumerate(np.unique(folds)):
            cases = np.flatnonzero(folds == fold)
            inside = tuple(patient_ids[case] for case in cases)
            weights[:, cases] = patient_weights(inside, resamples=resamples, seed=seed + number)
        return weights
    patients, position = np.unique(np.array(patient_ids, dtype=str), return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(len(patients), np.full(len(patients), 1 / len(patients)), resamples)
    return draws[:, position].astype(np.float64)


def check_folds(patient_ids: tuple[str, ...], folds: NDArray[np.integer]) -> None:
    """Refuses folds that a patient stands in two of, for then the scores leak.

    Args:
        patient_ids: Patient of each case, n.
        folds: Fold of each case, int [n].

    Raises:
        ReportError: If there is such a patient.
    """
    if len(set(zip(patient_ids, np.asarray(folds).tolist(), strict=True))) != len(set(patient_ids)):
        raise ReportError(
            expected="each patient in one fold", found="a patient in two folds", remedy="Make the folds by patient."
        )


def jackknife_weights(patient_ids: tuple[str, ...]) -> Floats:
    """Case weights that leave out one patient a row, float64 [patients, n]."""
    _, position = np.unique(np.array(patient_ids, dtype=str), return_inverse=True)
    return (np.arange(position.max() + 1)[:, None] != position[None, :]).astype(np.float64)


def interval(
    value: float,
    replicates: Floats,
    *,
    method: Method = "percentile",
    level: float = LEVEL,
    jackknife: Floats | None = None,
) -> Interval:
    """Confidence limits from bootstrap replicates.

    Args:
        value: The point estimate; NaN where not defined.
        replicates: The metric on each resample, float64 [resamples]; NaN where not defined.
        method: See the module's docstring.
        level: Coverage, in (0, 1).
        jackknife: The metric without each patient, float64 [patients]; needed for "bca".

    Returns:
        The interval; its limits are None where the value is, where fewer than half of the resamples define it, or where
        the limits would leave out the value itself.

    Raises:
        ReportError: If the method is unknown, or "bca" has no jackknife.
    """
    if method not in get_args(Method):
        raise ReportError(
            expected=f"one of {', '.join(get_args(Method))}", found=repr(method), remedy="Choose one of them."
        )
    good = replicates[np.isfinite(replicates)]
    undefined = len(replicates) - len(good)
    if not math.isfinite(value) or len(good) < LEAST_DEFINED * len(replicates) or not len(good):
        return Interval(defined_or_none(value), None, None, level, method, undefined)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    if method == "bca":
        if jackknife is None:
            raise ReportError(
                expected="the metric without each patient",
                found="no jackknife values",
                remedy="Compute the metric with jackknife_weights, or ask for the percentile method.",
            )
        limits = np.quantile(good, _bca_levels(value, good, jackknife[np.isfinite(jackknife)], tails))
    elif method == "logit" and 0 < value < 1:
        limits = _logit_limits(value, good, tails)
    else:
        # On the border (an AUC of exactly 1) the logit is infinite; the quantiles still say something.
        limits = np.quantile(good, tails)
    if not limits[0] - ROUNDING <= value <= limits[1] + ROUNDING:
        # Replicates that miss their own estimate are ruled by bias (the calibration error of few cases grows with every
        # case drawn twice); no quantile of them is an interval.
        return Interval(float(value), None, None, level, method, undefined)
    lower, upper = min(float(limits[0]), float(value)), max(float(limits[1]), float(value))
    return Interval(float(value), lower, upper, level, method, undefined)


def share(hit: NDArray[np.bool_], among: NDArray[np.bool_], patient_ids: tuple[str, ...], weights: Floats) -> Interval:
    """A share of cases with a patient-bootstrap interval, and Wilson's where every case agrees.

    Resampling can't move a share of 0 or 1, and limits of 0.00 to 0.00 would claim a certainty that a few cases don't
    give. Wilson's limits count patients there, not images.

    Args:
        hit: bool [n].
        among: Which cases count, bool [n].
        patient_ids: Patient of each case, n.
        weights: From `patient_weights`, float64 [resamples, n].

    Returns:
        The share; all None where no case counts.
    """
    value = float(ratio((hit & among).sum(), among.sum()))
    if value in (0.0, 1.0):
        patients = len({patient_ids[row] for row in np.flatnonzero(among)})
        return wilson(round(value) * patients, patients)
    return interval(value, ratio(weights @ (hit & among), weights @ among))


def wilson(successes: int, n: int, *, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a proportion of independent counts (Wilson, JASA 1927).

    Args:
        successes: From 0 to n.
        n: Number of independent units; for images of the same patients use the bootstrap instead.
        level: Coverage.

    Returns:
        The proportion with its limits; all None where n is 0.
    """
    from scipy.special import ndtri

    if n == 0:
        return Interval(None, None, None, level, "wilson")
    z = float(ndtri((1 + level) / 2))
    share = successes / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At 0 and n of n the limits are exactly 0 and 1; arithmetic would leave 1e-17.
    lower = 0.0 if successes == 0 else middle - half
    upper = 1.0 if successes == n else middle + half
    return Interval(share, lower, upper, level, "wilson")


def _bca_levels(value: float, replicates: Floats, jackknife: Floats, tails: Floats) -> Floats:
    from scipy.special import ndtr, ndtri

    # Ties with the estimate count one half: a rank statistic of few cases takes few values.
    below = (np.count_nonzero(replicates < value) + 0.5 * np.count_nonzero(replicates == value)) / len(replicates)
    bias = ndtri(np.clip(below, 0.5 / len(replicates), 1 - 0.5 / len(replicates)))
    centred = jackknife.mean() - jackknife
    spread = (centred**2).sum() ** 1.5
    acceleration = (centred**3).sum() / (6 * spread) if spread > 0 else 0.0
    shifted = bias + ndtri(tails)
    return np.asarray(ndtr(bias + shifted / (1 - acceleration * shifted)), dtype=np.float64)


def _logit_limits(value: float, replicates: Floats, tails: Floats) -> NDArray[np.float64]:
    from scipy.special import expit, logit, ndtri

    # A replicate of exactly 0 or 1 stands for "beyond the resolution": half a step of 1/resamples inside the border.
    inside = np.clip(replicates, 0.5 / len(replicates), 1 - 0.5 / len(replicates))
    return np.asarray(expit(logit(value) + ndtri(tails) * logit(inside).std(ddof=1)), dtype=np.float64)
