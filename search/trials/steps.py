"""Training steps compiled into one TensorFlow graph; the only training code that is tied to the backend.

``fit`` costs 30 to 100 ms of Python an epoch, which is more than the arithmetic of a head. Here the loop over the
steps of an epoch is inside the graph.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from search.trials.data import ClassEmphasis


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

    Attributes:
        build_seconds: Time spent so far in making graphs.
    """

    def __init__(self, model: keras.Model, groups: Sequence[ParameterGroup]) -> None:
        self.build_seconds = 0.0
        self._item = tuple(model.input_shape[1:])
        self._graphs: dict[Any, Any] = {}
        loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        variables = [variable for group in groups for variable in group.variables]
        self._variables = [*model.variables, *(one for group in groups for one in group.optimizer.variables)]

        # Values arrive as they are stored (float16 or float32) and are cast in the graph: half the bytes to move.
        def train(values: Any, labels: Any, rates: Any, class_weights: Any, logit_offset: Any) -> Any:
            losses = tf.TensorArray(tf.float32, size=tf.shape(rates)[0], element_shape=())
            for step in tf.range(tf.shape(rates)[0]):
                with tf.GradientTape() as tape:
                    logits = model(tf.cast(values[step], tf.float32), training=True)
                    weights = tf.gather(class_weights, labels[step])
                    loss = loss_function(labels[step], logits + logit_offset, sample_weight=weights)
                    loss += tf.add_n([tf.zeros(()), *model.losses])
                gradients = iter(tape.gradient(loss, variables))
                for position, group in enumerate(groups):
                    group.optimizer.learning_rate.assign(rates[step, position])
                    group.optimizer.apply([next(gradients) for _ in group.variables], group.variables)
                losses = losses.write(step, loss)
            return losses.stack()

        def infer(values: Any) -> Any:
            return model(tf.cast(values, tf.float32), training=False)

        # Without jit_compile: on CPUs a step took 1.25 to 1.75 times as long (tests/benchmarks/bench_jit.py).
        self._train = tf.function(train)
        self._infer = tf.function(infer)

    def train(
        self, values: NDArray[Any], labels: NDArray[np.int32], rates: NDArray[np.float32], emphasis: ClassEmphasis
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
        batch_size = values.shape[1]
        graph = self._graph(
            self._train,
            tf.TensorSpec((None, batch_size, *self._item), values.dtype),
            tf.TensorSpec((None, batch_size), tf.int32),
            tf.TensorSpec((None, rates.shape[1]), tf.float32),
            tf.TensorSpec(emphasis.weights.shape, tf.float32),
            tf.TensorSpec(emphasis.logit_offset.shape, tf.float32),
        )
        arguments = (values, labels, rates, emphasis.weights, emphasis.logit_offset)
        return graph(*map(tf.convert_to_tensor, arguments)).numpy()

    def logits(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Logits in inference mode.

        Args:
            values: Boundary values, float16 or float32 [n, ...].

        Returns:
            float32 [n, classes].
        """
        graph = self._graph(self._infer, tf.TensorSpec((None, *self._item), values.dtype))
        return graph(tf.convert_to_tensor(values)).numpy()

    def _graph(self, function: Any, *specs: Any) -> Any:
        """The graph for one batch size and one type of stored values, whatever the number of steps or of images."""
        key = (function is self._train, specs)
        if key not in self._graphs:
            clock = time.perf_counter()
            graph = function.get_concrete_function(*specs)
            # The runtime optimises and places a graph, and XLA compiles its loops, when they are first run: here over
            # one step or one image, of which nothing is kept.
            before = [np.array(keras.ops.convert_to_numpy(variable.value)) for variable in self._variables]
            graph(*(tf.zeros([size or 1 for size in spec.shape], spec.dtype) for spec in specs))
            for variable, value in zip(self._variables, before, strict=True):
                variable.assign(value)
            self._graphs[key] = graph
            self.build_seconds += time.perf_counter() - clock
        return self._graphs[key]
