"""Convergence of the winner: whether its training had come to rest when its epochs were over.

What follows a search (thresholds, temperature, steps of the final model) is taken from the winner's fold models as they
end, and applied to a model that is trained as long as they were. That holds only where a few steps more or less give
much the same model. Three things speak against it:

It still improves: in the last quarter of the epochs, the mean of the second half against that of the first, of the
training loss and of the macro AUC. Not the last quarter against the one before: a schedule that decays brings training
to rest in its last quarter, and the loss falls to there whatever follows. (A small network trained for 18 epochs with a
cosine schedule would be told to improve in 19 of 24 cases, by halves of a quarter in 5; with a constant schedule below
its limit of stability in 24 of 24 and in 19.) An improvement counts where it exceeds both standard errors over the
folds: that of the folds' changes, else it may be noise, and that of their levels, for what is within one standard error
of a score is not told from it (Breiman et al., Classification and Regression Trees, 1984).

It swings: the largest step of any fold's validation loss between two epochs of the second half is above 0.5 nats. By
as much, the probability of the true class changes 1.6-fold, in the geometric mean over the images. On synthetic films
the winners of a constant schedule with rates up to 0.1 had 2.3 to 6.9 and their thresholds did not carry over; with a
cosine schedule and rates up to 0.02 it was 0.25, and they did.

The folds disagree: their macro AUCs at the end differ by more than chance gives to one and the same. Each squared
distance to their mean is divided by its variance under chance (Hanley & McNeil, Radiology 1982, at that mean, with the
fold's own class counts; one AUC less than classes is independent, for probabilities add up to 1), and the sum has to be
beyond the 99 % quantile of chi-squared. Where nothing is learnt, a fold with 8 malignant of 52 images has a standard
deviation of 0.065: five folds easily span 0.2 and say nothing.

Over-fitting is a diagnosis and no such reason, for no epoch is chosen: the mean curve was best before its last quarter,
and the end lies below that by more than chance gives to the best of many (Student's t over the folds, 99 %).

Share of simulated trials of which each is said (60 a case; 52 images a fold, 8 of them malignant, two correlated ones a
woman; 8, 18 and 30 epochs, the scores of neighbours correlated by 0.8; level curves at 0.5 and 0.8):

    folds   AUC still rises            folds disagree               over-fits
            level    from 0.5 to 0.9   level    one of 0.8 at 0.5   level    from 0.86 to 0.76
    2       15 %     72 %              0.3 %    73 %                3 %      3 %
    5       12 %     85 %              0.6 %    78 %                4 %      59 %
    10      10 %     96 %              0.3 %    79 %                4 %      84 %
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.metrics.auc import Floats, auc_standard_error
from reports.metrics.table import defined_or_none
from reports.trials import OBJECTIVE_CURVE, TrialRecord

SHORTEST_WINDOW = 2
"""Fewest epochs of half of the end: single ones are noise."""
FEWEST_EPOCHS = 4 * SHORTEST_WINDOW
"""Of fewer epochs the end would be more than half, and the first one is warm-up."""
LARGEST_STEP = 0.5
"""Of a fold's validation loss between two epochs, nats."""
DISAGREEMENT = 0.99
"""Quantile of chi-squared beyond which folds disagree."""
OVER_FITTING = 0.99
"""Quantile of Student's t beyond which the end is below the best epoch."""


@dataclass(frozen=True)
class Change:
    """How far a mean fold curve has moved at the end, from the first to the second half of its last quarter.

    Attributes:
        value: Mean over the folds of the second half's mean less that of the first.
        standard_error: The larger one of those over the folds of the change and of the second half's level; None for
            fewer than two folds.
    """

    value: float
    standard_error: float | None

    def exceeds(self, sign: int) -> bool:
        """Whether it has moved to the side of ``sign`` (1 or -1) by more than its standard error."""
        return self.standard_error is not None and sign * self.value > self.standard_error


@dataclass(frozen=True)
class Convergence:
    """What a trial's curves say of its end.

    Attributes:
        converged: Whether nothing speaks against it; None where nothing does but the epochs or folds are too few.
        reasons: What speaks against it, each a clause with its figures.
        epochs: Epochs trained.
        window: Epochs of half of the end; 0 where there are too few.
        loss: Change of the mean training loss, nats, L2 included; None where not defined.
        objective: Change of the mean macro AUC; None where not defined.
        largest_step: Of a fold's validation loss between two epochs of the second half, nats; None for too few epochs.
        fold_objectives: Objective of each fold at the end, None where not defined.
        fold_sd: Their standard deviation (ddof 1), or None.
        chance_sd: What chance alone gives to one AUC in folds of this size, or None where the sizes are not known.
        best_epoch: Epoch of the best mean objective, from 1, or None.
        below_best: How far the end is below it, 0 or more, or None.
        over_fitted: Whether that is early and far enough to be over-fitting.
        sentence: The verdict for a reader.
        diagnosis: A sentence on over-fitting, "" where there is none.
    """

    converged: bool | None
    reasons: tuple[str, ...]
    epochs: int
    window: int
    loss: Change | None
    objective: Change | None
    largest_step: float | None
    fold_objectives: tuple[float | None, ...]
    fold_sd: float | None
    chance_sd: float | None
    best_epoch: int | None
    below_best: float | None
    over_fitted: bool
    sentence: str
    diagnosis: str


def convergence(record: TrialRecord, fold_counts: NDArray[np.integer] | None = None) -> Convergence:
    """Judges a completed trial by its curves.

    Args:
        record: The trial; what it is scored by is its last epoch.
        fold_counts: Validation images of each fold by class, int [folds, classes]. Without them nothing is said of
            folds that disagree.
    """
    loss, val_loss, objective = (_curve(record, name) for name in ("loss", "val_loss", OBJECTIVE_CURVE))
    window = max(SHORTEST_WINDOW, record.epochs // 8) if record.epochs >= FEWEST_EPOCHS else 0
    loss_change, objective_change = _change(loss, window), _change(objective, window)
    step = _largest_step(val_loss)
    folds = objective[:, -1] if objective.size else np.empty(0)
    fold_sd = float(np.nanstd(folds, ddof=1)) if np.isfinite(folds).sum() > 1 else None
    chance_sd, disagree = _disagreement(folds, fold_counts)
    best_epoch, below_best, over_fitted = _over_fitting(objective, window)

    reasons = []
    if loss_change and loss_change.exceeds(-1):
        reasons.append(f"the training loss still falls ({_moved(loss_change, window)})")
    if objective_change and objective_change.exceeds(1):
        reasons.append(f"the macro AUC still rises ({_moved(objective_change, window)})")
    if step is not None and step > LARGEST_STEP:
        reasons.append(f"a fold's validation loss moves by {step:.2f} between two epochs (bound {LARGEST_STEP:g})")
    if disagree:
        low, high = np.nanmin(folds), np.nanmax(folds)
        reasons.append(f"the folds disagree (macro AUC {low:.3f} to {high:.3f}, more than chance gives)")
    told = all(change and change.standard_error is not None for change in (loss_change, objective_change))
    return Convergence(
        converged=False if reasons else True if told else None,
        reasons=tuple(reasons),
        epochs=record.epochs,
        window=window,
        loss=loss_change,
        objective=objective_change,
        largest_step=step,
        fold_objectives=tuple(map(defined_or_none, folds)),
        fold_sd=fold_sd,
        chance_sd=chance_sd,
        best_epoch=best_epoch,
        below_best=below_best,
        over_fitted=over_fitted,
        sentence=_sentence(reasons, record.epochs, window, told=told),
        diagnosis=(
            f"It over-fits: best after epoch {best_epoch} of {record.epochs}, it ends {below_best:.3f} below that."
            if over_fitted
            else ""
        ),
    )


def _sentence(reasons: Sequence[str], epochs: int, window: int, *, told: bool) -> str:
    if reasons:
        return f"The winner has not converged: {'; '.join(reasons)}."
    if told:
        return (
            f"The winner has converged: over the last {2 * window} of {epochs} epochs neither its training loss nor "
            "its macro AUC improves by more than the folds' standard error."
        )
    if not window:
        return f"Too few epochs to tell whether the winner has converged: {epochs}; it takes {FEWEST_EPOCHS}."
    return "Too few folds have a score to tell whether the winner has converged; it takes 2."


def _moved(change: Change, window: int) -> str:
    return f"by {abs(change.value):.3f} over the last {2 * window} epochs, standard error {change.standard_error:.3f}"


def _curve(record: TrialRecord, name: str) -> Floats:
    """Float64 [folds, epochs]; empty where the trial has none."""
    folds = record.curves.get(name, ())
    return np.asarray(folds, np.float64).reshape(len(folds), -1)


def _change(curve: Floats, window: int) -> Change | None:
    if not window or not curve.size:
        return None
    last, before = curve[:, -window:].mean(axis=1), curve[:, -2 * window : -window].mean(axis=1)
    defined = np.isfinite(last) & np.isfinite(before)
    if not defined.any():
        return None
    moved = (last - before)[defined]
    errors = [_standard_error(moved), _standard_error(last[defined])] if len(moved) > 1 else []
    return Change(float(moved.mean()), max(errors, default=None))


def _standard_error(values: Floats) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def _largest_step(curve: Floats) -> float | None:
    steps = np.abs(np.diff(curve[:, curve.shape[1] // 2 :], axis=1))
    steps = steps[np.isfinite(steps)]
    return float(steps.max()) if steps.size else None


def _disagreement(folds: Floats, counts: NDArray[np.integer] | None) -> tuple[float | None, bool]:
    """Standard deviation of a fold's objective by chance, and whether the folds are beyond it."""
    defined = np.flatnonzero(np.isfinite(folds))
    if counts is None or len(defined) < 2:
        return None, False
    from scipy.stats import chi2

    values, sizes = folds[defined], np.asarray(counts)[defined]
    # Below one half the ranking is no worse than chance; the formula has its largest value there.
    mean = max(float(values.mean()), 0.5)
    others = sizes.sum(axis=1, keepdims=True) - sizes
    variances = (auc_standard_error(mean, sizes, others) ** 2).mean(axis=1) / (sizes.shape[1] - 1)
    squares = (values - values.mean()) ** 2
    # Folds that all rank perfectly have neither a difference nor a variance.
    statistic = float(np.divide(squares, variances, out=np.zeros_like(squares), where=squares > 0).sum())
    return float(np.sqrt(variances.mean())), statistic > chi2.ppf(DISAGREEMENT, len(defined) - 1)


def _over_fitting(curve: Floats, window: int) -> tuple[int | None, float | None, bool]:
    """Best epoch, how far the end is below it, and whether that is over-fitting."""
    defined = curve[np.isfinite(curve).all(axis=1)] if curve.size else curve
    if not len(defined):
        return None, None, False
    from scipy.stats import t as student

    best = int(defined.mean(axis=0).argmax())
    lost = defined[:, best] - defined[:, -1]
    below = float(lost.mean())
    early = window > 0 and best < curve.shape[1] - 2 * window and len(lost) > 1
    over_fitted = early and below > student.ppf(OVER_FITTING, len(lost) - 1) * _standard_error(lost)
    return best + 1, below, bool(over_fitted)
