"""The frozen trunk as a function from pixels to boundary values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.bit.architecture import BitArchitecture
from search.bit.backbone import assign_official, boundary_key, build_trunk
from search.bit.weights import BitWeights
from search.boundary.values import Trunk


def frozen_trunk(
    architecture: BitArchitecture,
    weights: BitWeights,
    *,
    image_size: int,
    depths: Sequence[int],
    dtype: str = "float32",
) -> Trunk:
    """Build the trunk for all boundaries in use.

    Args:
        architecture: The backbone's.
        weights: Its weights.
        image_size: Side of the prepared images in pixels.
        depths: Unfreeze depths in use.
        dtype: Dtype policy of the arithmetic.

    Returns:
        A function from pixels, float32 [batch, size, size, 3] in [−1, 1], to the boundary values of each depth,
        float32, in the order of ``depths``.
    """
    model = build_trunk(architecture, image_size, depths, dtype=dtype)
    assign_official(model, weights.arrays)

    def run(pixels: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        outputs = model.predict_on_batch(pixels)
        return [np.asarray(outputs[boundary_key(depth)], np.float32) for depth in depths]

    return run
