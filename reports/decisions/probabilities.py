"""Probabilities against the world: reliability, and the correction by prior and temperature.

A network trained on balanced classes answers for a balanced world; its probabilities are put back to the natural
prevalence by a shift of the log odds (Saerens et al., Neural Computation 2002). A network trained to certainty is too
sure; one number, the temperature, takes that back without changing any ranking (Guo et al., ICML 2017). Both are found
on out-of-fold logits of the development patients, never on the held-out ones:

    p = softmax(logits / temperature + log(natural prior / training prior))

Either, both or none of the two is applied: `reports.decisions.correction` chooses. A network that is too sure of cases
that balancing showed it again and again has not learned a balanced world either, and the whole shift is too much. So
where both are applied the shift is fitted as well (Alexandari et al., ICML 2020), beginning at the textbook's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reports.errors import ReportError
from reports.metrics.auc import Floats
from reports.metrics.calibration import ECE_BINS, softmax
from reports.metrics.intervals import Interval, wilson
from reports.predictions import Predictions

SMALLEST_PROBABILITY = 1e-12
"""Below float32's resolution near 1: a probability that was rounded to 0 has lost its logit, and this stands for it."""

Kind = Literal["none", "prior", "temperature", "both"]
"""What a correction does: nothing, the prior shift, the temperature, or both."""

KIND_WORDS: dict[Kind, str] = {
    "none": "plain",
    "prior": "prior-corrected",
    "temperature": "temperature-scaled",
    "both": "prior-corrected and temperature-scaled",
}
"""What a reader is told of probabilities after a correction of each kind."""

LOG_TEMPERATURE_LIMITS = (math.log(0.02), math.log(50.0))
"""Beyond these the logits carry no information (all the same)."""

LOG_TEMPERATURE_SD = 0.5
"""Standard deviation of ln temperature before anything is known: 0.37 to 2.7 with 95 %. Where no case is on the wrong
side the likelihood alone asks for a temperature near 0, and the first error on a new patient then costs everything."""

SHIFT_SD = 0.5
"""Standard deviation of a class's fitted shift around the textbook's, in nats, before anything is known."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Cases of one class whose predicted probability lies in a bin.

    Attributes:
        mean_predicted: Mean predicted probability of the class.
        observed: Share of the cases that are of the class, with Wilson limits (images taken as independent: a guide for
            the eye, not a test).
        cases: Number of images.
    """

    mean_predicted: float
    observed: Interval
    cases: int


def reliability_bins(predictions: Predictions, index: int) -> tuple[ReliabilityBin, ...]:
    """Bins of equal width over [0, 1], as the class-wise calibration error has them; empty ones are left out.

    Args:
        predictions: The cases.
        index: The class.

    Returns:
        From low to high probability.
    """
    column, happened = predictions.probabilities[:, index], predictions.labels == index
    member = np.clip((column * ECE_BINS).astype(np.int64), 0, ECE_BINS - 1)
    bins = []
    for position in np.unique(member):
        inside = member == position
        cases = int(inside.sum())
        bins.append(ReliabilityBin(float(column[inside].mean()), wilson(int(happened[inside].sum()), cases), cases))
    return tuple(bins)


@dataclass(frozen=True)
class ProbabilityCorrection:
    """From logits to calibrated probabilities.

    Attributes:
        temperature: Above 1 where the model was too sure; exactly 1 where none is applied.
        log_prior_shift: Added to the scaled logits of each class; all 0 where the prior is left as it is. Beside a
            temperature it is a fitted one.
        cases: Number of cases that it was fitted on.
        loss: Mean log loss on these after the correction, in nats.
    """

    temperature: float
    log_prior_shift: tuple[float, ...]
    cases: int = 0
    loss: float = math.nan

    @property
    def kind(self) -> Kind:
        """What it does."""
        if any(self.log_prior_shift):
            return "prior" if self.temperature == 1 else "both"
        return "none" if self.temperature == 1 else "temperature"

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Calibrated probabilities, float64 [n, classes], of logits [n, classes]."""
        return softmax(np.asarray(logits, np.float64) / self.temperature + np.array(self.log_prior_shift))


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
    return tuple((np.log(there / there.sum()) - np.log(drawn / drawn.sum())).tolist())


def fit_temperature(
    logits: ArrayLike,
    labels: NDArray[np.integer],
    *,
    shift: tuple[float, ...] | None = None,
    independent: int | None = None,
) -> ProbabilityCorrection:
    """The most probable temperature, and with a prior shift to begin at also the most probable shift.

    They have the smallest sum of the cases' log loss, (ln temperature)² / (2 · `LOG_TEMPERATURE_SD`²), and for each
    class (its shift − the one to begin at)² / (2 · `SHIFT_SD`²); this draws them to 1 and to the textbook's shift as
    long as few cases speak.

    Args:
        logits: Out-of-fold logits at natural prevalence, float [n, classes].
        labels: Class index, int [n].
        shift: From `log_prior_shift`; None for no shift.
        independent: How many independent cases these count as: the patients. None for n.

    Returns:
        The correction.

    Raises:
        ReportError: If there is no case, or a logit is not finite.
    """
    from scipy.optimize import minimize

    scores, truth = np.asarray(logits, np.float64), np.asarray(labels)
    if scores.ndim != 2 or len(scores) == 0 or len(scores) != len(truth) or not np.isfinite(scores).all():
        raise ReportError(
            expected="finite logits [n, classes] and labels [n], n above 0",
            found=f"logits {list(scores.shape)}, labels {list(truth.shape)}, finite: {bool(np.isfinite(scores).all())}",
            remedy="Pass the winner's out-of-fold logits.",
        )
    cases = len(truth) if independent is None else independent
    classes = scores.shape[1]
    centre = np.zeros(1 + classes) if shift is None else np.array([0.0, *shift])
    spread = np.array([LOG_TEMPERATURE_SD, *[SHIFT_SD] * classes])
    wanted = np.eye(classes)[truth]

    def surprise(found: Floats) -> tuple[float, Floats]:
        scaled = scores / math.exp(found[0])
        away = (found - centre) / spread
        loss = log_losses(scaled + found[1:], truth).mean() + (away**2).sum() / (2 * cases)
        wrong = (softmax(scaled + found[1:]) - wanted) / len(truth)
        slope = np.array([-(wrong * scaled).sum(), *wrong.sum(axis=0)])
        return float(loss), slope + away / spread / cases

    fixed = [(0.0, 0.0) if shift is None else (-np.inf, np.inf)] * classes
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000}
    bounds = [LOG_TEMPERATURE_LIMITS, *fixed]
    best = minimize(surprise, centre, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    loss = float(log_losses(scores / math.exp(best[0]) + best[1:], truth).mean())
    return ProbabilityCorrection(math.exp(best[0]), tuple(best[1:].tolist()), len(truth), loss)


def log_losses(logits: Floats, labels: NDArray[np.integer]) -> Floats:
    """−ln of the softmax's probability of each case's class, in nats, float64 [n]; logits are [n, classes]."""
    largest = logits.max(axis=1)
    log_sum = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))
    return np.asarray(log_sum - logits[np.arange(len(labels)), labels])


def logits_of(predictions: Predictions) -> Floats:
    """Logits up to a constant a row, which softmax does not see: the log of the probabilities, float64 [n, classes]."""
    return np.log(np.maximum(predictions.probabilities, SMALLEST_PROBABILITY))


def corrected_predictions(predictions: Predictions, correction: ProbabilityCorrection) -> Predictions:
    """The same cases with corrected probabilities; the very same table where the correction does nothing."""
    if correction.kind == "none":
        return predictions
    return replace(predictions, probabilities=correction.probabilities(logits_of(predictions)))
