"""Confidence limits of a figure whose value, variance and degrees of freedom are known.

A figure's limits are found on the scale that it lives on:

    logit   areas: a t interval of the log odds; an area of 0 or 1 as "exact"
    counts  shares: Clopper & Pearson's limits for as many independent draws as would have the variance (Korn &
            Graubard, Survey Methodology 1998)
    exact   a share of 0 or 1, which no resample moves: Clopper & Pearson's limits, counting patients that are
            independent of each other (`reports.metrics.independent`)
    gamma   mean losses, where a few images carry most: gamma limits of a weighted sum of rare events, the upper one
            with an image more (Fay & Feuer, Stat Med 1997)
    mover   means and differences: from the limits of the parts and their correlation (Zou & Donner, Stat Med 2008)
    student value ± t standard errors: means of what has no borders, and differences of losses
    wilson  independent counts (JASA 1927), for the eye

`tests/benchmarks/bench_coverage.py` has how often each holds the truth, and how wide it is, beside the bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reports.metrics.auc import Floats
from reports.metrics.resampling import Estimate

LEVEL = 0.95

Limits = tuple[float, float]
ShareKind = Literal["logit", "counts"]


@dataclass(frozen=True)
class Interval:
    """A point estimate with its confidence limits.

    Attributes:
        value: The figure of the cases as they are, or None where it is not defined.
        lower: Lower confidence limit, or None.
        upper: Upper confidence limit, or None.
        level: Coverage that was asked for.
        method: How the limits were found, as the module's docstring names them, or "bbc-cv"; "none": there are none.
        undefined: Bootstrap resamples in which the figure was not defined; they are left out.
    """

    value: float | None
    lower: float | None = None
    upper: float | None = None
    level: float = LEVEL
    method: str = "none"
    undefined: int = 0

    @classmethod
    def of(cls, value: float, limits: Limits | None, method: str) -> Interval:
        """The interval of a value that may be NaN, and of limits that may be lacking.

        Args:
            value: The figure.
            limits: Lower and upper one, or None.
            method: How they were found.
        """
        if not math.isfinite(value):
            return cls(None)
        if limits is None or not all(map(math.isfinite, limits)):
            return cls(float(value))
        # Rounding may put a limit on the wrong side of a value that it is equal to.
        return cls(float(value), min(limits[0], float(value)), max(limits[1], float(value)), LEVEL, method)


def is_certain(value: float) -> bool:
    """Whether a share is 0 or 1, rounding aside."""
    return bool(min(abs(value), abs(value - 1)) <= 1e-12)


def student_limits(found: Estimate) -> Limits | None:
    """Value ± t standard errors; None where nothing moves the value, or not all of it is defined."""
    if not found.variance > 0:
        return None
    half = _t(found.cautious_freedom) * math.sqrt(found.variance)
    return found.value - half, found.value + half


def logit_limits(found: Estimate) -> Limits | None:
    """Limits of an area strictly between 0 and 1."""
    from scipy.special import expit, logit

    if not found.variance > 0 or not 0 < found.value < 1:
        return None
    half = _t(found.cautious_freedom) * math.sqrt(found.variance) / (found.value * (1 - found.value))
    lower, upper = expit(logit(found.value) + np.array([-half, half])).tolist()
    return lower, upper


def count_limits(found: Estimate) -> Limits | None:
    """Limits of a share strictly between 0 and 1, from as many draws as would have its variance."""
    from scipy.special import ndtri

    if not found.variance > 0 or not 0 < found.value < 1:
        return None
    draws = found.value * (1 - found.value) / found.variance
    return clopper_pearson(found.value, draws * float(ndtri((1 + LEVEL) / 2) / _t(found.freedom)) ** 2)


def share_limits(found: Estimate, draws: int, kind: ShareKind) -> tuple[Limits | None, str]:
    """Limits of a share or an area, and how they were found.

    Args:
        found: 0 to 1.
        draws: Independent draws behind it, for a share of 0 or 1.
        kind: The scale of any other.
    """
    if is_certain(found.value):
        return clopper_pearson(round(found.value), draws), "exact"
    return (logit_limits if kind == "logit" else count_limits)(found), kind


def clopper_pearson(share: float, draws: float) -> Limits | None:
    """Clopper & Pearson's limits (Biometrika 1934); None without a draw.

    Args:
        share: 0 to 1, both included.
        draws: Independent draws, which need not be whole.
    """
    from scipy.special import betaincinv

    if draws <= 0:
        return None
    hits, tail = share * draws, (1 - LEVEL) / 2
    lower = 0.0 if is_certain(share) and share < 0.5 else float(betaincinv(hits, draws - hits + 1, tail))
    upper = 1.0 if is_certain(share) and share > 0.5 else float(betaincinv(hits + 1, draws - hits, 1 - tail))
    return lower, upper


def gamma_limits(found: Estimate, step: float) -> Limits | None:
    """Limits of a mean loss of 0 or more.

    Args:
        found: The mean.
        step: What one image more, called badly, would add to it.
    """
    from scipy.special import gammaincinv

    if not (found.variance >= 0 and found.value >= 0):
        return None
    tail = (1 - LEVEL) / 2

    def quantile(mean: float, variance: float, probability: float) -> float:
        return float(gammaincinv(mean**2 / variance, probability) * variance / mean)

    lower = quantile(found.value, found.variance, tail) if found.variance > 0 and found.value > 0 else 0.0
    return lower, quantile(found.value + step, found.variance + step**2, 1 - tail)


def mover_limits(parts: Sequence[Interval], factors: Sequence[float], correlation: Floats) -> Limits | None:
    """Limits of Σ factor · part; None where a part has none.

    Args:
        parts: With limits.
        factors: 1/k of each for a mean, 1 and −1 for a difference.
        correlation: Of the parts, float64 [k, k].
    """
    value, down, up = 0.0, [], []
    for part, factor in zip(parts, factors, strict=True):
        if part.value is None or part.lower is None or part.upper is None:
            return None
        value += factor * part.value
        below, above = part.value - part.lower, part.upper - part.value
        down.append(factor * (below if factor > 0 else above))
        up.append(factor * (above if factor > 0 else below))
    reach = [math.sqrt(max(float(side @ correlation @ side), 0.0)) for side in (np.array(down), np.array(up))]
    return value - reach[0], value + reach[1]


def wilson(successes: int, n: int) -> Interval:
    """Wilson's score interval of a proportion of independent counts (Wilson, JASA 1927).

    Args:
        successes: From 0 to n.
        n: Number of independent units.

    Returns:
        The proportion with its limits; all None where n is 0.
    """
    from scipy.special import ndtri

    if n == 0:
        return Interval(None)
    z = float(ndtri((1 + LEVEL) / 2))
    share = successes / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At 0 and n of n the limits are exactly 0 and 1; arithmetic would leave 1e-17.
    lower = 0.0 if successes == 0 else middle - half
    upper = 1.0 if successes == n else middle + half
    return Interval(share, lower, upper, LEVEL, "wilson")


def _t(freedom: float) -> float:
    """Student's quantile of the level, two-sided; fewer than one degree of freedom count as one."""
    from scipy.special import ndtri, stdtrit

    tail = (1 + LEVEL) / 2
    return float(ndtri(tail) if math.isinf(freedom) else stdtrit(max(freedom, 1.0), tail))
