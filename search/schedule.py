"""Learning-rate schedules as functions of the position in the full budget.

A schedule never looks at where a rung ends: a run that is promoted later is on the same curve as one that was trained
straight through, and a low rung's score is that of the same training, cut short.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def learning_rates(schedule: str, peak: float, *, first_step: int, steps: int, full_steps: int) -> NDArray[np.float32]:
    """Learning rate of each of ``steps`` consecutive optimizer steps.

    Args:
        schedule: "constant", or "cosine" (half a period over the full budget, ending at zero).
        peak: The configuration's learning rate.
        first_step: Optimizer steps behind the first of them.
        steps: How many.
        full_steps: Optimizer steps of the full budget.

    Returns:
        float32 [steps].

    Raises:
        ValueError: If the schedule is unknown.
    """
    position = (first_step + np.arange(steps)) / full_steps
    match schedule:
        case "constant":
            factor = np.ones(steps)
        case "cosine":
            factor = 0.5 * (1 + np.cos(np.pi * np.clip(position, 0, 1)))
        case _:
            raise ValueError(f"Expected schedule 'constant' or 'cosine'. Received: schedule={schedule!r}")
    return (peak * factor).astype(np.float32)
