"""Class activation maps: where in an image the evidence for a class lies, from gradients at a boundary of a network.

For activations A and gradients g of the class's logit, both [rows, columns, channels]:
    Grad-CAM   ReLU(Σ_c mean(g)_c · A_c)   Selvaraju et al., ICCV 2017
    HiResCAM   ReLU(Σ_c g_c · A_c)         Draelos & Carin, arXiv:2011.08891

LayerCAM (Jiang et al., IEEE TIP 2021), which keeps positive gradients only, is left out: through group norms a gradient
has both signs everywhere, and the positive part alone points at the background (0 to 4 % hits on the phantom, at every
place and before or after the ReLU, where HiResCAM has 59 %).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Maps = NDArray[np.float32]
"""float32 [n, rows, columns], at least 0, not scaled; cell (i, j) looks at the pixel (i · stride, j · stride)."""


class ClassGradients:
    """Gradients of each image's class logit with respect to its activations, compiled for each shape that is met.

    Args:
        logits_of: The rest of the network in inference mode, from activations to logits [n, classes].
    """

    def __init__(self, logits_of: Callable[[Any], Any]) -> None:
        @tf.function(reduce_retracing=True)
        def gradients(values: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(values)
                # Images don't mix in inference mode: the sum's gradient is each image's own.
                explained = tf.reduce_sum(tf.gather(logits_of(values), classes, axis=1, batch_dims=1))
            return tape.gradient(explained, values)

        self._gradients = gradients

    def __call__(self, activations: NDArray[np.float32], classes: NDArray[np.integer]) -> NDArray[np.float32]:
        """The gradients, float32, of the activations' shape.

        Args:
            activations: Float32 [n, rows, columns, channels].
            classes: The class to explain of each image, int [n].
        """
        return np.asarray(self._gradients(tf.constant(activations), tf.constant(classes.astype(np.int64))))


def grad_cam(activations: NDArray[np.float32], gradients: NDArray[np.float32]) -> Maps:
    """Grad-CAM of each image."""
    return np.maximum((activations * gradients.mean(axis=(1, 2), keepdims=True)).sum(axis=-1), 0)


def hires_cam(activations: NDArray[np.float32], gradients: NDArray[np.float32]) -> Maps:
    """HiResCAM of each image."""
    return np.maximum((activations * gradients).sum(axis=-1), 0)


def cell_stride(image_size: int, rows: int) -> int:
    """Pixels a cell: sides of boundaries are the image's divided by powers of two, rounded up."""
    return int(2 ** round(np.log2(image_size / rows)))
