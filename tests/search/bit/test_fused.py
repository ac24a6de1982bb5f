"""Training on a CPU (compiled loops, gradients written out, products) against TensorFlow's own gradients."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from search.bit import fused, layers
from search.bit.architecture import SMALL
from search.bit.backbone import assign_official, build_tail, official_variables
from search.bit.weights import random_weights
from tests.support.official_features import relative
from tests.support.slow import slow


def gradients(layer: keras.Model, x: tf.Tensor, graph: Callable = tf.function) -> dict[str, np.ndarray]:
    """Output and gradients of a sum with fixed weights, in training mode."""

    @graph
    def step():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cast(layer(x, training=True), tf.float32)
            weights = tf.constant(np.random.default_rng(4).normal(size=y.shape).astype(np.float32))
            loss = tf.reduce_sum(y * weights)
        return y, tape.gradient(loss, [x, *layer.trainable_variables])

    y, (dx, *rest) = step()
    names = [variable.path for variable in layer.trainable_variables]
    found = {"output": y, "input": dx, **dict(zip(names, rest, strict=True))}
    return {name: tf.cast(value, tf.float32).numpy() for name, value in found.items()}


@pytest.fixture
def plainly(monkeypatch) -> Callable:
    """The same as a GPU computes it: Keras's operations, TensorFlow's gradients."""

    def compute(*args):
        with monkeypatch.context() as patch:
            patch.setattr(layers, "_has_gpu", lambda: True)
            return gradients(*args)

    return compute


def small_tail(depth: int, dtype: str = "float32") -> tuple[keras.Model, tf.Tensor]:
    weights = random_weights(SMALL, 1)
    rng = np.random.default_rng(2)
    # Weights as drawn have zero shifts and equal scales, which would hide a mistake in either.
    drawn = {
        n: a + rng.normal(0, 0.2, a.shape).astype(np.float32) if a.ndim == 1 else a for n, a in weights.arrays.items()
    }
    shape = SMALL.boundary_shape(depth, (96, 64))
    tail = build_tail(SMALL, depth, shape, dtype=dtype)
    assign_official(tail, drawn)
    return tail, tf.constant(rng.normal(0.5, 2, (3, *shape)).astype(np.float32))


@pytest.mark.parametrize("depth", [1, *slow(SMALL.max_depth)])
def test_a_tail_trains_as_with_tensorflows_own_gradients(depth, plainly):
    tail, x = small_tail(depth)
    expected, found = plainly(tail, x), gradients(tail, x)
    assert len(found) == 2 + len(official_variables(tail))
    for name, value in expected.items():
        assert relative(found[name], value) < 2e-5, name


@pytest.mark.slow
def test_in_bfloat16_it_is_as_near_to_float32_as_with_tensorflows_own_gradients(plainly):
    tail, x = small_tail(2, "mixed_bfloat16")
    exact = plainly(small_tail(2)[0], x)
    expected, found = plainly(tail, x), gradients(tail, x)
    errors = {
        name: (relative(found[name], right), relative(value, right))
        for (name, value), right in zip(expected.items(), exact.values(), strict=True)
    }
    # Each is one draw of rounding, which differs between processors by half; all together they hardly do.
    assert all(ours < 2 * theirs + 1e-3 for ours, theirs in errors.values()), errors
    assert np.mean([ours for ours, _ in errors.values()]) < 1.2 * np.mean([theirs for _, theirs in errors.values()])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_norms_gradient_keeps_its_digits_far_from_zero(dtype, plainly):
    layer = layers.ChannelMomentsGroupNorm(2, dtype="mixed_bfloat16" if dtype == "bfloat16" else "float32")
    x = tf.cast(np.random.default_rng(0).normal(300, 1, (2, 9, 7, 8)), dtype)
    layer.build(x.shape)
    layer.gamma.assign(np.linspace(-1, 2, 8))
    layer.beta.assign(np.linspace(1, -1, 8))
    expected, found = plainly(layer, tf.cast(x, tf.float32)), gradients(layer, x)
    for name, value in expected.items():
        assert relative(found[name], value) < (1e-2 if dtype == "bfloat16" else 2e-4), name


def test_a_norm_without_an_image_size_and_a_call_outside_a_graph_train_too(plainly):
    layer = layers.ChannelMomentsGroupNorm(4)
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 5, 4, 8)).astype(np.float32))
    unknown = tf.function(lambda x: layer(x, training=True)).get_concrete_function(tf.TensorSpec((None, None, None, 8)))
    np.testing.assert_allclose(unknown(x), layer(x, training=True), atol=1e-6)
    eager, graph = gradients(layer, x, lambda step: step), gradients(layer, x)
    assert all(np.array_equal(eager[name], graph[name]) for name in graph)


def test_kernels_near_the_epsilon_standardise_alike(plainly):
    """As small as published ones: their variance is about the epsilon, which the gradient has to know of."""
    layer = layers.StandardizedConv2D(6, 3, padding=1)
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype(np.float32))
    layer.build(x.shape)
    layer.kernel.assign(np.random.default_rng(1).normal(3e-6, 1e-5, (3, 3, 4, 6)))
    expected, found = plainly(layer, x), gradients(layer, x)
    for name, value in expected.items():
        assert relative(found[name], value) < 1e-5, name


def test_the_gradient_as_products_is_the_convolutions():
    rng = np.random.default_rng(0)
    x, kernel = (tf.constant(rng.normal(size=s).astype(np.float32)) for s in ((2, 5, 4, 6), (3, 3, 6, 7)))
    found = []
    for convolve in (fused.convolve_3x3, lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "SAME")):
        with tf.GradientTape() as tape:
            tape.watch((x, kernel))
            y = convolve(x, kernel)
            loss = tf.reduce_sum(tf.square(y))
        found.append([y, *tape.gradient(loss, (x, kernel))])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_deep_convolutions_in_bfloat16_take_it(monkeypatch):
    calls = []
    monkeypatch.setattr(
        fused, "convolve_3x3", lambda x, kernel: calls.append(x.shape) or tf.nn.conv2d(x, kernel, 1, "SAME")
    )
    for filters, policy in [(512, "mixed_bfloat16"), (512, "float32"), (8, "mixed_bfloat16")]:
        layer = layers.StandardizedConv2D(filters, 3, padding=1, dtype=policy)
        layer(np.ones((1, 2, 2, filters), np.float32), training=True)
    assert calls == [(1, 2, 2, 512)]
