"""Two corrections that make a classifier's probabilities match the world: the prior, and the temperature.

A network trained on balanced classes answers for a balanced world; its probabilities are put back to the natural
prevalence by a shift of the log odds (Saerens et al., Neural Computation 2002). A network trained to certainty is too
sure; one number, the temperature, takes that back without changing any ranking (Guo et al., ICML 2017). Both are fitted
on out-of-fold logits of the development patients, never on the held-out ones:

    p = softmax(logits / temperature + log(natural prior / training prior))
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reports.errors import ReportError
from reports.metrics.auc import Floats

LOG_TEMPERATURE_LIMITS = (math.log(0.02), math.log(50.0))
"""Beyond these the logits carry no information (all the same) or separate the classes without an error."""


@dataclass(frozen=True)
class ProbabilityCorrection:
    """From logits to calibrated probabilities.

    Attributes:
        temperature: Above 1 where the model was too sure.
        log_prior_shift: Added to the scaled logits of each class.
        cases: Number of cases that it was fitted on.
        loss: Mean log loss on these after the correction, in nats.
    """

    temperature: float
    log_prior_shift: tuple[float, ...]
    cases: int = 0
    loss: float = math.nan

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Calibrated probabilities, float64 [n, classes], of logits [n, classes]."""
        return softmax(np.asarray(logits, np.float64) / self.temperature + np.array(self.log_prior_shift))


def softmax(logits: Floats) -> Floats:
    """Row-wise softmax in float64, without overflow."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def log_prior_shift(natural: ArrayLike, training: ArrayLike) -> tuple[float, ...]:
    """log(natural / training) a class.

    Args:
        natural: Class counts or shares where the model will be used, all above 0.
        training: Class counts or shares that the training sampler drew; equal ones for a balanced sampler.

    Returns:
        One shift a class.

    Raises:
        ReportError: If a share is not above 0: no shift brings back a class that was never seen.
    """
    there, drawn = np.asarray(natural, np.float64), np.asarray(training, np.float64)
    if there.shape != drawn.shape or not ((there > 0) & (drawn > 0)).all():
        raise ReportError(
            expected="one share above 0 a class, natural and in training",
            found=f"{there.tolist()} and {drawn.tolist()}",
            remedy="Correct the prior only where every class occurs in the development patients.",
        )
    return tuple(float(value) for value in np.log(there / there.sum()) - np.log(drawn / drawn.sum()))


def prior_corrected(probabilities: Floats, natural: ArrayLike, training: ArrayLike) -> Floats:
    """Probabilities at another class prior: p · natural / training, made to sum to 1.

    Args:
        probabilities: float64 [n, classes], made for the training prior.
        natural: See `log_prior_shift`.
        training: See `log_prior_shift`.

    Returns:
        float64 [n, classes].
    """
    scaled = probabilities * np.exp(log_prior_shift(natural, training))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def fit_temperature(
    logits: ArrayLike, labels: NDArray[np.integer], *, shift: tuple[float, ...] | None = None
) -> ProbabilityCorrection:
    """The temperature of the smallest log loss, the prior shift given.

    Args:
        logits: Out-of-fold logits at natural prevalence, float [n, classes].
        labels: Class index, int [n].
        shift: From `log_prior_shift`; None for no shift.

    Returns:
        The correction.

    Raises:
        ReportError: If there is no case, or a logit is not finite.
    """
    from scipy.optimize import minimize_scalar

    scores, truth = np.asarray(logits, np.float64), np.asarray(labels)
    if scores.ndim != 2 or len(scores) == 0 or len(scores) != len(truth) or not np.isfinite(scores).all():
        raise ReportError(
            expected="finite logits [n, classes] and labels [n], n above 0",
            found=f"logits {list(scores.shape)}, labels {list(truth.shape)}, finite: {bool(np.isfinite(scores).all())}",
            remedy="Pass the winner's out-of-fold logits of its best epoch.",
        )
    offset = np.zeros(scores.shape[1]) if shift is None else np.array(shift)
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        scaled = scores / math.exp(log_temperature) + offset
        largest = scaled.max(axis=1)
        log_sum = largest + np.log(np.exp(scaled - largest[:, None]).sum(axis=1))
        return float((log_sum - scaled[rows, truth]).mean())

    # The loss is convex in 1 / temperature, so a bounded search for the one minimum is safe.
    found = minimize_scalar(loss, bounds=LOG_TEMPERATURE_LIMITS, method="bounded", options={"xatol": 1e-8})
    return ProbabilityCorrection(
        math.exp(found.x), tuple(float(value) for value in offset), len(truth), float(found.fun)
    )
