"""Frozen trunk: a function from pixels to boundary values, and its answer at depth 0 from the values of any depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from search.bit import BitArchitecture, BitWeights, assign_official, boundary_key, build_tail, build_trunk
from search.boundary.values import BoundaryBank, Trunk

_POOLING_BATCH = 32


def frozen_trunk(
    architecture: BitArchitecture,
    weights: BitWeights,
    depths: Sequence[int],
    *,
    image_size: int,
    dtype: str = "float32",
) -> Trunk:
    """Build the trunk for all boundaries in use.

    Args:
        architecture: The backbone's.
        weights: Its weights.
        depths: Unfreeze depths in use.
        image_size: Side of the prepared images in pixels.
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


def pooled_features(
    banks: Mapping[int, BoundaryBank], architecture: BitArchitecture, weights: BitWeights, *, all_views: bool = False
) -> NDArray[np.float32]:
    """Stored views of the development images through the pretrained backbone; no pixel is read again.

    Args:
        banks: By unfreeze depth; the shallowest is taken. A search that always unfreezes something has none of depth 0,
            and the pretrained rest of the network follows then.
        architecture: The backbone's.
        weights: Its pretrained weights.
        all_views: All of them in the order of the bank, or view 0 of each image.

    Returns:
        float32 [images or views, channels].
    """
    bank = banks[min(banks)]
    rows = np.arange(bank.offsets[-1]) if all_views else bank.offsets[:-1]
    if bank.depth == 0:
        features: NDArray[np.float32] = bank.values[rows]
        return features
    tail = build_tail(architecture, bank.depth, bank.shape)
    assign_official(tail, weights.arrays)
    # Batch by batch: the boundaries of all views at once could be larger than the memory.
    batches = (rows[start : start + _POOLING_BATCH] for start in range(0, len(rows), _POOLING_BATCH))
    return np.concatenate(
        [np.asarray(tail.predict_on_batch(bank.values[batch].astype(np.float32))) for batch in batches]
    )
