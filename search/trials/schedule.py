"""Learning-rate schedules as functions of the position in the full budget.

A schedule never looks at where a rung ends: a run that is promoted later is on the same curve as one that was trained
straight through, and a low rung's score is that of the same training, cut short.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.bit_hyperrule import hyperrule_factors


def learning_rates(
    schedule: str, peak: float, *, first_step: int, steps: int, full_steps: int, steps_per_epoch: int
) -> NDArray[np.float32]:
    """Learning rate of each of ``steps`` consecutive optimizer steps.

    Args:
        schedule: "constant", "cosine" (half a period over the full budget, ending at zero) or "bit"
            (`search.bit_hyperrule`: warm-up, then a tenth of the rate at 2/5, 3/5 and 4/5 of the full budget).
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
    position = (first_step + np.arange(steps)) / full_steps
    match schedule:
        case "constant":
            factor = np.ones(steps)
        case "cosine":
            factor = 0.5 * (1 + np.cos(np.pi * np.clip(position, 0, 1)))
        case "bit":
            factor = hyperrule_factors(
                first_step=first_step, steps=steps, full_steps=full_steps, steps_per_epoch=steps_per_epoch
            )
        case _:
            raise ValueError(f"Expected schedule 'constant', 'cosine' or 'bit'. Received: schedule={schedule!r}")
    return (peak * factor).astype(np.float32)
