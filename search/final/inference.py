"""Final models on images, in two parts: what is frozen runs once, and each trained tail after it.

The other seeds and the fold models differ from the exported model in their tail alone, so that the frozen part need
not run again for each. Arithmetic is float32 whatever the search used, as in the exported file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from reports import softmax
from search.bit.architecture import BitArchitecture
from search.bit.backbone import assign_official, build_tail
from search.bit.weights import BitWeights
from search.boundary.trunk import frozen_trunk
from search.boundary.values import whole_batch
from search.trials.head import plain_head
from search.trials.tail import TrainedTail

_BATCH = 32


def network_pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Prepared images as the network takes them: uint8 [n, S, S] to float32 [n, S, S, 3] in [−1, 1]."""
    scaled = images.astype(np.float32) * np.float32(1 / 127.5) - np.float32(1)
    return np.repeat(scaled[..., None], 3, axis=-1)


def tail_model(
    architecture: BitArchitecture, depth: int, image_size: int, *, head_width: int, n_classes: int
) -> keras.Model:
    """From the boundary of a depth to logits, of the layers that train; fill it with `fill_tail`."""
    shape = architecture.boundary_shape(depth, (image_size, image_size))
    boundary = keras.Input(shape, name="boundary")
    logits = plain_head(build_tail(architecture, depth, shape)(boundary), width=head_width, n_classes=n_classes)
    return keras.Model(boundary, logits, name=f"tail_from_{depth}")


def fill_tail(model: keras.Model, weights: BitWeights, tail: TrainedTail) -> None:
    """Give a `tail_model` the trained variables, and the pretrained ones where its boundary lies before theirs."""
    arrays: Mapping[str, NDArray[Any]] = {**weights.arrays, **tail.backbone}
    assign_official(model, arrays)
    for name, values in tail.head.items():
        model.get_layer(name).set_weights(values)


def tail_probabilities(
    architecture: BitArchitecture,
    weights: BitWeights,
    images: NDArray[np.uint8],
    tails: Sequence[TrainedTail],
    *,
    depth: int,
    head_width: int,
    n_classes: int,
) -> tuple[NDArray[np.float64], ...]:
    """Class probabilities of several trained tails of one shape.

    Args:
        architecture: The backbone's.
        weights: Pretrained weights, for what was frozen.
        images: Prepared images, uint8 [n, S, S].
        tails: What was trained.
        depth: Their unfreeze depth.
        head_width: Units of the head's hidden layer.
        n_classes: Number of classes.

    Returns:
        float64 [n, classes] of each tail.
    """
    if not tails:
        return ()
    size = images.shape[1]
    trunk = frozen_trunk(architecture, weights, image_size=size, depths=[depth])
    model = tail_model(architecture, depth, size, head_width=head_width, n_classes=n_classes)
    logits: list[list[NDArray[np.float32]]] = [[] for _ in tails]
    for start in range(0, len(images), _BATCH):
        part = images[start : start + _BATCH]
        # Batch by batch through all tails: the boundaries of all images at once could be larger than the memory.
        (boundaries,) = trunk(whole_batch(network_pixels(part), _BATCH))
        for tail, outputs in zip(tails, logits, strict=True):
            fill_tail(model, weights, tail)
            outputs.append(np.asarray(model.predict_on_batch(boundaries))[: len(part)])
    return tuple(softmax(np.concatenate(outputs)) for outputs in logits)
