"""Pooled features of the development images: the frozen backbone's answer at unfreeze depth 0."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.bit.architecture import BitArchitecture
from search.bit.backbone import assign_official, build_tail
from search.bit.weights import BitWeights
from search.trials.data import TrialData

_BATCH = 32


def pooled_features(data: TrialData, architecture: BitArchitecture, weights: BitWeights) -> NDArray[np.float32]:
    """View 0 of each development image through the pretrained backbone; no pixel is read again.

    Args:
        data: Its shallowest bank is taken; a search that always unfreezes something has none of depth 0, and the
            pretrained rest of the network follows then.
        architecture: The backbone's.
        weights: Its pretrained weights.

    Returns:
        float32 [images, channels].
    """
    bank = data.banks[min(data.banks)]
    values: NDArray[Any] = bank.values[bank.offsets[:-1]]
    if bank.depth == 0:
        return values
    tail = build_tail(architecture, bank.depth, bank.shape)
    assign_official(tail, weights.arrays)
    batches = [values[start : start + _BATCH].astype(np.float32) for start in range(0, len(values), _BATCH)]
    return np.concatenate([np.asarray(tail.predict_on_batch(batch)) for batch in batches])
