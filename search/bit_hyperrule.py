"""BiT's own transfer recipe, as functions of the position in the full budget.

Source: Kolesnikov et al. 2020, section 3.3 and appendix ("BiT-HyperRule", small data sets: fewer than 20,000 images),
500 steps of SGD with momentum 0.9 at a peak of 0.003 for 512 images (in proportion to the batch), warm-up over the
first 100, learning rate divided by 10 after 200, 300 and 400. The fractions are kept and the length is not: 500 steps
of 512 images would be 1,000 passes over the 257 images of this data set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DECAYS = (2 / 5, 3 / 5, 4 / 5)
_WARM_UP = 1 / 5


def hyperrule_factors(
    *, first_step: int, steps: int, full_steps: int, steps_per_epoch: int | None = None
) -> NDArray[np.float32]:
    """Factor on the peak learning rate at each of `steps` consecutive optimizer steps.

    Args:
        first_step: Optimizer steps behind the first of them.
        steps: How many.
        full_steps: Optimizer steps of the full budget.
        steps_per_epoch: If given, the warm-up takes at most one epoch, so that the score of a low rung is that of a
            configuration at its own learning rate.

    Returns:
        float32 [steps], from above 0 to 1.

    Raises:
        ValueError: If `full_steps` is not positive.
    """
    if full_steps < 1:
        raise ValueError(f"Expected a positive number of steps. Received: full_steps={full_steps}")
    step = first_step + np.arange(steps)
    warm_up = max(1.0, _WARM_UP * full_steps)
    if steps_per_epoch is not None:
        warm_up = max(1.0, min(warm_up, steps_per_epoch))
    decays = np.sum([step >= round(share * full_steps) for share in _DECAYS], axis=0)
    return (np.minimum(1, (step + 1) / warm_up) * 0.1**decays).astype(np.float32)
