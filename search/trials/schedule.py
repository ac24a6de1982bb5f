"""Learning-rate schedules: functions of the position in the full budget.

A schedule never looks at where a rung ends: a trial that is promoted later is on the same curve as one that was trained
straight through, and a low rung's score is that of the same training, cut short.

Every decay begins with a warm-up: a fifth of the full budget, but at most one epoch, so that the score of a low rung is
that of a configuration at its own learning rate.

"bit" is BiT's own transfer recipe. Source: Kolesnikov et al. 2020, section 3.3 and appendix ("BiT-HyperRule", small
data sets: fewer than 20,000 images), 500 steps of SGD with momentum 0.9 at a peak of 0.003 for 512 images (in
proportion to the batch), warm-up over the first 100, learning rate divided by 10 after 200, 300 and 400. The fractions
are kept and the length is not: 500 steps of 512 images would be 1,000 passes over the 257 images of this data set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PEAK, _PEAK_BATCH = 0.003, 512
_DECAYS = (2 / 5, 3 / 5, 4 / 5)
_WARM_UP = 1 / 5


def learning_rates(
    schedule: str, peak: float, *, first_step: int, steps: int, full_steps: int, steps_per_epoch: int
) -> NDArray[np.float32]:
    """Learning rate of each of ``steps`` consecutive optimizer steps.

    Args:
        schedule: "constant", "cosine" (warm-up, then half a period over the rest of the budget, down to zero) or "bit"
            (warm-up, then a tenth of the rate at 2/5, 3/5 and 4/5 of the full budget).
        peak: The configuration's learning rate.
        first_step: Optimizer steps behind the first of them.
        steps: How many.
        full_steps: Optimizer steps of the full budget.
        steps_per_epoch: A warm-up takes at most so many.

    Returns:
        float32 [steps].

    Raises:
        ValueError: If the schedule is unknown.
    """
    factor: NDArray[np.floating]
    match schedule:
        case "constant":
            factor = np.ones(steps)
        case "cosine":
            warm_up = _warm_up_steps(full_steps, steps_per_epoch)
            step = first_step + np.arange(steps) + 1
            decayed = np.clip((step - warm_up) / (full_steps + 1 - warm_up), 0, 1)
            factor = np.minimum(1, step / warm_up) * 0.5 * (1 + np.cos(np.pi * decayed))
        case "bit":
            factor = hyperrule_factors(
                first_step=first_step, steps=steps, full_steps=full_steps, steps_per_epoch=steps_per_epoch
            )
        case _:
            raise ValueError(f"Expected schedule 'constant', 'cosine' or 'bit'. Received: schedule={schedule!r}")
    return (peak * factor).astype(np.float32)


def bit_learning_rate(batch_size: int) -> float:
    """BiT-HyperRule's peak learning rate, in proportion to the batch."""
    return _PEAK * batch_size / _PEAK_BATCH


def hyperrule_factors(
    *, first_step: int, steps: int, full_steps: int, steps_per_epoch: int | None = None
) -> NDArray[np.float32]:
    """Factor on the peak learning rate at each of `steps` consecutive optimizer steps.

    Args:
        first_step: Optimizer steps behind the first of them.
        steps: How many.
        full_steps: Optimizer steps of the full budget.
        steps_per_epoch: If given, the warm-up takes at most so many.

    Returns:
        float32 [steps], from above 0 to 1.

    Raises:
        ValueError: If `full_steps` is not positive.
    """
    if full_steps < 1:
        raise ValueError(f"Expected a positive number of steps. Received: full_steps={full_steps}")
    step = first_step + np.arange(steps)
    decays = np.sum([step >= round(share * full_steps) for share in _DECAYS], axis=0)
    warm_up = np.minimum(1, (step + 1) / _warm_up_steps(full_steps, steps_per_epoch))
    return (warm_up * 0.1**decays).astype(np.float32)


def _warm_up_steps(full_steps: int, steps_per_epoch: int | None) -> float:
    fifth = _WARM_UP * full_steps
    return max(1.0, fifth if steps_per_epoch is None else min(fifth, steps_per_epoch))
