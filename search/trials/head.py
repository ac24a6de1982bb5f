"""Head: the classification layers, with strengths that are run-time values or numbers.

Pooled features → batch norm → dense (L2) → batch norm → ReLU → dropout → dense (L2) → logits. Of width 0 it is the last
of these layers alone, on the pooled features as they are: BiT's own head.

A dropout rate or an L2 factor that is a Python number is baked into the compiled graph, so that every configuration
costs a new trace. Here both are variables: configurations that share a shape share a graph.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

BATCH_NORM_MOMENTUM = 0.9
"""Keras's 0.99 leaves the moving statistics at their start values for the 30 or so steps of a low rung."""


class RuntimeDropout(keras.layers.Layer):
    """Dropout whose rate is a scalar variable, ``rate``, in [0, 1).

    The same uniform draws serve every rate, so that configurations with different rates meet the same luck.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(0)

    def build(self, input_shape: Any) -> None:
        """Create the rate."""
        self.rate = self.add_weight(shape=(), initializer="zeros", trainable=False, name="rate")

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Scale what is kept by 1 / (1 − rate) in training; identity otherwise."""
        if not training:
            return inputs
        draws = keras.random.uniform(ops.shape(inputs), seed=self.seed_generator)
        kept = ops.cast(draws >= self.rate, inputs.dtype)
        return inputs * kept / ops.cast(1.0 - self.rate, inputs.dtype)


class RuntimeL2Dense(keras.layers.Dense):
    """Dense layer that adds ``l2 · Σ kernel²`` to the loss, as ``keras.regularizers.L2`` does, ``l2`` a variable."""

    def build(self, input_shape: Any) -> None:
        """Create the kernel, the bias and the factor."""
        super().build(input_shape)
        self.l2 = self.add_weight(shape=(), initializer="zeros", trainable=False, name="l2")

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The dense map; the penalty is added in training only."""
        if training:
            self.add_loss(self.l2 * ops.sum(ops.square(self.kernel)))
        return super().call(inputs)


def keras_initializer(head_init: str) -> str:
    """Keras's name for the start of the head's last kernel.

    Raises:
        ValueError: If it is neither "glorot" nor "zeros".
    """
    starts = {"glorot": "glorot_uniform", "zeros": "zeros"}
    if head_init not in starts:
        raise ValueError(f"Expected head_init 'glorot' or 'zeros'. Received: head_init={head_init!r}")
    return starts[head_init]


def runtime_head(features: Any, *, width: int, n_classes: int) -> Any:
    """The head with run-time strengths, for the search.

    Args:
        features: Symbolic pooled features, float32 [batch, channels].
        width: Units of the hidden layer; 0 for a linear head.
        n_classes: Number of classes.

    Returns:
        Symbolic logits, float32 [batch, n_classes].
    """
    hidden = (RuntimeL2Dense(width, name="head_dense"), RuntimeDropout(name="head_dropout")) if width else None
    return _joined(features, hidden, RuntimeL2Dense(n_classes, name="head_logits"))


def plain_head(
    features: Any, *, width: int, n_classes: int, dropout: float = 0.0, l2: float = 0.0, head_init: str = "glorot"
) -> Any:
    """The same head of Keras's own layers, for export and for a user's own tuner.

    Args:
        features: Symbolic pooled features, float32 [batch, channels].
        width: Units of the hidden layer; 0 for a linear head.
        n_classes: Number of classes.
        dropout: Dropout rate, in [0, 1).
        l2: Factor of the squared dense kernels in the loss.
        head_init: Start of the last layer's kernel, "glorot" or "zeros".

    Returns:
        Symbolic logits, float32 [batch, n_classes].
    """
    start = keras_initializer(head_init)
    penalty = keras.regularizers.L2(l2) if l2 else None
    # The seeds that they draw from Keras's generator are drawn in the order of the layers.
    hidden = None
    if width:
        dense = keras.layers.Dense(width, kernel_regularizer=penalty, name="head_dense")
        hidden = dense, keras.layers.Dropout(dropout, name="head_dropout")
    logits = keras.layers.Dense(n_classes, kernel_initializer=start, kernel_regularizer=penalty, name="head_logits")
    return _joined(features, hidden, logits)


def _joined(features: Any, hidden: tuple[keras.Layer, keras.Layer] | None, logits: keras.Layer) -> Any:
    if hidden is None:
        return logits(features)
    dense, dropout = hidden
    x = keras.layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name="head_input_norm")(features)
    x = keras.layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name="head_norm")(dense(x))
    return logits(dropout(keras.layers.ReLU(name="head_relu")(x)))
