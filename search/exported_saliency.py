"""Grad-CAM of an exported model: the .keras file is all that is needed.

The activations A are those of the last residual unit, g the gradients of the explained class's logit with respect to
them; the map is ReLU(Σ_c mean(g)_c · A_c) (Selvaraju et al., ICCV 2017). A cell (i, j) looks at the pixel (i · stride,
j · stride), see `search.final.saliency.peak`. A run's report chooses among several kinds of maps on development images; here
it is always this one.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from search.errors import RunError


class ExportedSaliency:
    """Grad-CAM of one model.

    Args:
        model: An exported model, from images in 0 … 255 to probabilities.

    Raises:
        RunError: If it has no residual units inside.
    """

    def __init__(self, model: keras.Model) -> None:
        position, backbone = next(
            ((number, layer) for number, layer in enumerate(model.layers) if isinstance(layer, keras.Model)), (0, None)
        )
        units = [] if backbone is None else [layer for layer in backbone.layers if isinstance(layer, keras.layers.Add)]
        if backbone is None or not units:
            raise RunError(
                expected="an exported model with residual units", found="one without", remedy="Leave --cam out."
            )
        self._activations = keras.Model(backbone.inputs, units[-1].output)
        self._features = keras.Model(units[-1].output, backbone.output)
        self._head = [layer for layer in model.layers[position + 1 :] if not isinstance(layer, keras.layers.Softmax)]

    def maps(self, images: NDArray[np.uint8], classes: NDArray[np.integer]) -> tuple[NDArray[np.float32], int]:
        """Where the evidence for a class lies.

        Args:
            images: Prepared images, uint8 [n, size, size].
            classes: The class to explain of each, int [n].

        Returns:
            Maps, float32 [n, rows, columns], at least 0, not scaled; and the pixels a cell.
        """
        pixels = np.repeat(images[..., None].astype(np.float32) / 127.5 - 1, 3, axis=-1)
        activations = tf.constant(self._activations.predict_on_batch(pixels))
        with tf.GradientTape() as tape:
            tape.watch(activations)
            # Images don't mix in inference mode: the sum's gradient is each image's own.
            explained = tf.reduce_sum(tf.gather(self._logits(activations), classes, axis=1, batch_dims=1))
        gradients = np.asarray(tape.gradient(explained, activations))
        weighted = (np.asarray(activations) * gradients.mean(axis=(1, 2), keepdims=True)).sum(axis=-1)
        stride = 2 ** round(np.log2(images.shape[1] / weighted.shape[1]))
        return np.maximum(weighted, 0).astype(np.float32), int(stride)

    def _logits(self, activations: Any) -> Any:
        values = self._features(activations, training=False)
        for layer in self._head:
            values = layer(values, training=False) if isinstance(layer, _TRAINING_AWARE) else layer(values)
        return values


_TRAINING_AWARE = (keras.layers.BatchNormalization, keras.layers.Dropout)
