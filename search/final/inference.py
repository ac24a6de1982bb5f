"""Final models on images, in two parts: what is frozen runs once, and each trained tail after it.

The other seeds and the fold models differ from the exported model in their tail alone, so that the frozen part need
not run again for each. Arithmetic is float32 whatever the search used, as in the exported file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import keras
import numpy as np
from numpy.typing import NDArray

from reports import softmax
from search.bit.architecture import BitArchitecture
from search.bit.backbone import assign_official, build_tail
from search.bit.weights import BitWeights
from search.boundary.trunk import frozen_trunk
from search.boundary.values import Trunk, whole_batch
from search.export.members import assemble_members
from search.export.model import assemble_model
from search.trials.head import plain_head
from search.trials.tail import TrainedTail

_BATCH = 32


def network_pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Prepared images as the network takes them: uint8 [n, S, S] to float32 [n, S, S, 3] in [−1, 1]."""
    scaled = images.astype(np.float32) * np.float32(1 / 127.5) - np.float32(1)
    return np.repeat(scaled[..., None], 3, axis=-1)


class SharedTrunk:
    """The frozen part for all networks of a run, built and traced once, when one of them is first given images.

    Args:
        architecture: The backbone's.
        weights: Its pretrained weights.
        depths: All boundaries that will be asked for.
        image_size: Side of the prepared images in pixels.
    """

    def __init__(
        self, architecture: BitArchitecture, weights: BitWeights, depths: Iterable[int], image_size: int
    ) -> None:
        self.depths = tuple(sorted(set(depths)))
        self._built = cache(partial(frozen_trunk, architecture, weights, self.depths, image_size=image_size))

    def to(self, depths: Sequence[int]) -> Trunk:
        """From pixels to some of the boundaries."""
        places = [self.depths.index(depth) for depth in depths]

        def run(pixels: NDArray[np.float32]) -> list[NDArray[np.float32]]:
            values = self._built()(pixels)
            return [values[place] for place in places]

        return run


@dataclass(frozen=True)
class FinalNetwork:
    """The network of a configuration, for whatever was trained of it.

    Attributes:
        architecture: The backbone's.
        weights: Pretrained weights, for what was frozen.
        unfreeze_depth: Where the trained tail begins.
        image_size: Side S of the prepared images in pixels.
        head_width: Units of the head's hidden layer; 0 for a linear head.
        n_classes: Number of classes.
        shared: The frozen part that it shares with other networks; its own without one.
    """

    architecture: BitArchitecture
    weights: BitWeights
    unfreeze_depth: int
    image_size: int
    head_width: int
    n_classes: int
    shared: SharedTrunk | None = None

    def trunk(self, depths: Sequence[int]) -> Trunk:
        """From pixels to the boundaries of some depths."""
        if self.shared is not None and set(depths) <= set(self.shared.depths):
            return self.shared.to(depths)
        return frozen_trunk(self.architecture, self.weights, depths, image_size=self.image_size)

    def tail(self, depth: int) -> keras.Model:
        """From the boundary of a depth to logits, of the layers that train; `fill` gives it its variables."""
        shape = self.architecture.boundary_shape(depth, (self.image_size, self.image_size))
        boundary = keras.Input(shape, name="boundary")
        features = build_tail(self.architecture, depth, shape)(boundary)
        logits = plain_head(features, width=self.head_width, n_classes=self.n_classes)
        return keras.Model(boundary, logits, name=f"tail_from_{depth}")

    def fill(self, model: keras.Model, trained: TrainedTail) -> None:
        """Give a `tail` the trained variables, and the pretrained ones where its boundary lies before theirs."""
        assign_official(model, {**self.weights.arrays, **trained.backbone})
        for name, values in trained.head.items():
            model.get_layer(name).set_weights(values)

    def assembled(self, trained: TrainedTail) -> keras.Model:
        """The whole network of a trained tail as it is exported, from prepared images to probabilities."""
        return assemble_model(
            self.architecture,
            self.weights,
            trained,
            image_size=self.image_size,
            head_width=self.head_width,
            n_classes=self.n_classes,
        )

    def mean(self, tails: Sequence[TrainedTail], name: str) -> keras.Model:
        """The mean of several trained tails as it is exported, one network of that name with one trunk."""
        return assemble_members(
            self.architecture,
            self.weights,
            tails,
            unfreeze_depth=self.unfreeze_depth,
            image_size=self.image_size,
            head_width=self.head_width,
            n_classes=self.n_classes,
            name=name,
        )

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pooled features of the pretrained backbone for prepared images, uint8 [n, S, S] to float32 [n, channels]."""
        trunk, starts = self.trunk([0]), range(0, len(images), _BATCH)
        batches = (whole_batch(network_pixels(images[start : start + _BATCH]), _BATCH) for start in starts)
        return np.concatenate([trunk(batch)[0] for batch in batches])[: len(images)]

    def probabilities(self, images: NDArray[np.uint8], tails: Sequence[TrainedTail]) -> tuple[NDArray[np.float64], ...]:
        """Class probabilities of prepared images, uint8 [n, S, S], by each of several trained tails.

        Returns:
            float64 [n, classes] of each tail.
        """
        if not tails:
            return ()
        trunk, model = self.trunk([self.unfreeze_depth]), self.tail(self.unfreeze_depth)
        logits: list[list[NDArray[np.float32]]] = [[] for _ in tails]
        for start in range(0, len(images), _BATCH):
            part = images[start : start + _BATCH]
            # Batch by batch through all tails: the boundaries of all images at once could be larger than the memory.
            (boundaries,) = trunk(whole_batch(network_pixels(part), _BATCH))
            for tail, outputs in zip(tails, logits, strict=True):
                self.fill(model, tail)
                outputs.append(np.asarray(model.predict_on_batch(boundaries))[: len(part)])
        return tuple(softmax(np.concatenate(outputs)) for outputs in logits)
