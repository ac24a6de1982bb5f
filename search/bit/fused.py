"""Training's costly layers on a CPU: weight standardisation and group norm with ReLU as compiled loops, and a gradient.

Of TensorFlow's operations each reads and writes a whole tensor, and their automatic gradients are many: beside the
convolutions they took a third of a training step. Here XLA compiles what lies between two reductions into one loop,
with the gradients written out; convolutions and products stay oneDNN's, which XLA's are slower than
(tests/benchmarks/bench_jit.py). Everything is float32 inside, whatever comes and goes.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import tensorflow as tf

# Compiled once a shape and process, however many layers and tails have it.
_compiled = partial(tf.function, jit_compile=True)


def standardize(kernel: Any, epsilon: float, dtype: str) -> Any:
    """A kernel [height, width, in, out] standardised as `standardize_kernel` does it, cast to ``dtype``."""

    @tf.custom_gradient
    def differentiable(kernel: Any) -> Any:
        standardized, mean, inverse = _standardize(kernel, epsilon, dtype)
        return standardized, lambda upstream: _standardize_gradient(upstream, kernel, mean, inverse)

    return differentiable(tf.convert_to_tensor(kernel))


@_compiled
def _standardize(kernel: Any, epsilon: float, dtype: str) -> Any:
    rows = tf.reshape(kernel, (-1, kernel.shape[-1]))
    mean = tf.reduce_mean(rows, 0)
    inverse = tf.math.rsqrt(tf.reduce_mean(tf.math.squared_difference(rows, mean), 0) + epsilon)
    return tf.cast((kernel - mean) * inverse, dtype), mean, inverse


@_compiled
def _standardize_gradient(upstream: Any, kernel: Any, mean: Any, inverse: Any) -> Any:
    rows = tf.reshape((kernel - mean) * inverse, (-1, kernel.shape[-1]))
    wide = tf.cast(tf.reshape(upstream, rows.shape), tf.float32)
    along = tf.reduce_mean(wide * rows, 0)
    return tf.reshape(inverse * (wide - tf.reduce_mean(wide, 0) - rows * along), kernel.shape)


def norm_relu(x: Any, gamma: Any, beta: Any, groups: int, epsilon: float) -> Any:
    """Group norm and ReLU of [B, H, W, C], all of them known, in the dtype of ``x``."""
    pixels = x.shape[1] * x.shape[2]

    @tf.custom_gradient
    def differentiable(x: Any, gamma: Any, beta: Any) -> Any:
        y, mean, inverse = _norm_relu(x, gamma, beta, groups, epsilon)

        def gradient(upstream: Any) -> Any:
            # The input's part stands apart: where nothing below is trained, the graph is left without it.
            shift, scale = _norm_relu_moments(upstream, x, y, mean, inverse)
            dx = _norm_relu_gradient(upstream, x, y, mean, inverse, gamma, shift, scale, groups)
            return dx, pixels * tf.reduce_sum(scale, (0, 1)), pixels * tf.reduce_sum(shift, (0, 1))

        return y, gradient

    return differentiable(x, tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta))


def _over_groups(channels: Any, groups: int) -> Any:
    """Mean over the channels of each group, given to each of them, [B, 1, C]."""
    grouped = tf.reshape(channels, (channels.shape[0], groups, -1))
    return tf.reshape(tf.broadcast_to(tf.reduce_mean(grouped, 2, keepdims=True), grouped.shape), channels.shape)


def _by_pixel(x: Any) -> Any:
    """[B, H, W, C] in any dtype to float32 [B, pixels, C]."""
    return tf.cast(tf.reshape(x, (x.shape[0], -1, x.shape[-1])), tf.float32)


@_compiled
def _norm_relu(x: Any, gamma: Any, beta: Any, groups: int, epsilon: float) -> Any:
    wide = _by_pixel(x)
    mean = _over_groups(tf.reduce_mean(wide, 1, keepdims=True), groups)
    variance = _over_groups(tf.reduce_mean(tf.math.squared_difference(wide, mean), 1, keepdims=True), groups)
    inverse = tf.math.rsqrt(variance + epsilon)
    y = tf.nn.relu((wide - mean) * (inverse * gamma) + beta)
    return tf.reshape(tf.cast(y, x.dtype), x.shape), mean, inverse


@_compiled
def _norm_relu_moments(upstream: Any, x: Any, y: Any, mean: Any, inverse: Any) -> Any:
    """Means over the pixels, [B, 1, C], of what comes through the ReLU, and of its product with the normed input."""
    through = tf.where(_by_pixel(y) > 0, _by_pixel(upstream), 0.0)
    normed = (_by_pixel(x) - mean) * inverse
    return tf.reduce_mean(through, 1, keepdims=True), tf.reduce_mean(through * normed, 1, keepdims=True)


@_compiled
def _norm_relu_gradient(
    upstream: Any, x: Any, y: Any, mean: Any, inverse: Any, gamma: Any, shift: Any, scale: Any, groups: int
) -> Any:
    through = tf.where(_by_pixel(y) > 0, _by_pixel(upstream), 0.0)
    normed = (_by_pixel(x) - mean) * inverse
    common = _over_groups(gamma * shift, groups) + normed * _over_groups(gamma * scale, groups)
    return tf.reshape(tf.cast(inverse * (gamma * through - common), x.dtype), x.shape)


@tf.custom_gradient
def convolve_3x3(x: Any, kernel: Any) -> Any:
    """A padded 3x3 convolution whose gradient to the kernel is nine matrix products.

    oneDNN's takes twice as long in bfloat16 where images are small and channels many, as in the last block.
    """
    rows, columns = x.shape[1:3]
    entering, leaving = kernel.shape[2:]

    def gradient(upstream: Any) -> Any:
        dx = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.shape(x), filter=kernel, out_backprop=upstream, strides=[1] * 4, padding="SAME"
        )
        padded, pixels = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), tf.reshape(upstream, (1, -1, leaving))
        shifted = (padded[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3))
        products = [tf.matmul(tf.reshape(one, (1, -1, entering)), pixels, transpose_a=True) for one in shifted]
        return dx, tf.reshape(tf.stack(products), kernel.shape)

    return tf.nn.conv2d(x, kernel, 1, "SAME"), gradient
