"""Training steps compiled into one TensorFlow graph; the only training code that is tied to the backend.

``fit`` costs 30 to 100 ms of Python an epoch, which is more than the arithmetic of a head. Here the loop over the
steps of an epoch is inside the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from search.class_emphasis import ClassEmphasis


@dataclass(frozen=True)
class ParameterGroup:
    """Variables that share a learning rate.

    A group has an optimizer of its own: scaling gradients is no learning rate under an optimizer that normalises them,
    and AdamW's weight decay goes with the rate too.

    Args:
        optimizer: Built over ``variables``, with a learning rate that is a variable.
        variables: Trainable variables, in no other group.
    """

    optimizer: keras.Optimizer
    variables: list[keras.Variable]


class CompiledSteps:
    """Optimizer steps on a model that returns logits.

    Args:
        model: From a batch of boundary values to logits; its layers' ``losses`` are added to the cross-entropy.
        groups: All trainable variables.
    """

    def __init__(self, model: keras.Model, groups: Sequence[ParameterGroup]) -> None:
        loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        variables = [variable for group in groups for variable in group.variables]
        item = model.input_shape[1:]

        # Values arrive as they are stored (float16 or float32) and are cast in the graph: half the bytes to move.
        @tf.function(reduce_retracing=True)
        def train(values: Any, labels: Any, rates: Any, class_weights: Any, logit_offset: Any) -> Any:
            losses = tf.TensorArray(tf.float32, size=tf.shape(rates)[0])
            for step in tf.range(tf.shape(rates)[0]):
                with tf.GradientTape() as tape:
                    logits = model(tf.ensure_shape(tf.cast(values[step], tf.float32), (None, *item)), training=True)
                    weights = tf.gather(class_weights, labels[step])
                    loss = loss_function(labels[step], logits + logit_offset, sample_weight=weights)
                    loss += tf.add_n([tf.zeros(()), *model.losses])
                gradients = iter(tape.gradient(loss, variables))
                for position, group in enumerate(groups):
                    group.optimizer.learning_rate.assign(rates[step, position])
                    group.optimizer.apply([next(gradients) for _ in group.variables], group.variables)
                losses = losses.write(step, loss)
            return losses.stack()

        @tf.function(reduce_retracing=True)
        def infer(values: Any) -> Any:
            return model(tf.ensure_shape(tf.cast(values, tf.float32), (None, *item)), training=False)

        self._train = train
        self._infer = infer

    def train(
        self,
        values: NDArray[Any],
        labels: NDArray[np.int32],
        rates: NDArray[np.float32],
        emphasis: ClassEmphasis,
    ) -> NDArray[np.float32]:
        """Take one optimizer step a batch.

        Args:
            values: Boundary values, float16 or float32 [steps, batch, ...].
            labels: Class indices, int32 [steps, batch].
            rates: Learning rate of each group, float32 [steps, groups].
            emphasis: Weight and logit offset of each class in the loss; run-time values, so one graph serves all.

        Returns:
            The loss of each step, float32 [steps].
        """
        return self._train(values, labels, rates, emphasis.weights, emphasis.logit_offset).numpy()

    def logits(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Logits in inference mode.

        Args:
            values: Boundary values, float16 or float32 [n, ...].

        Returns:
            float32 [n, classes].
        """
        return self._infer(values).numpy()
