"""XLA (jit_compile) beside the plain graph: the frozen trunk's forward pass, and training steps of the tails.

Run: uv run python tests/benchmarks/bench_jit.py [--depths 0,1,3] [--batches 8,32] [--repeats 8]

The two are timed in turn, so that a busy machine slows both; above 1 XLA is faster. What making the graph takes stands
apart: a search makes one for each depth and head width.

Measured on 2 cores of an AMD EPYC, with another process on one of them, times as fast as the plain graph: trunk 0.76
(batch 8); training steps at batch 32 0.57 (depth 0: 4.2 and 7.4 ms), 0.79 (depth 1), 0.80 (depth 3); the first call
takes 2 to 6 times as long. So nothing is compiled with XLA; GPUs were not measured.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from search.bit.architecture import R50X1
from search.bit.weights import random_weights
from tests.benchmarks.bench_bit import SIDE, interleaved


def compare(what: str, plain: Callable[[], Any], compiled: Callable[[], Any], repeats: int) -> None:
    """Print both times, their ratio and what the first call of each took."""
    making = []
    for function in (plain, compiled):
        start = time.perf_counter()
        function()
        making.append(time.perf_counter() - start)
    plain_s, compiled_s = interleaved(plain, compiled, repeats)
    sys.stdout.write(
        f"{what}: plain {1e3 * plain_s:.1f} ms, XLA {1e3 * compiled_s:.1f} ms: {plain_s / compiled_s:.2f} times as "
        f"fast; first call {making[0]:.1f} and {making[1]:.1f} s\n"
    )
    sys.stdout.flush()


def main() -> None:
    """Print one line a shape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", default="0,1,3")
    parser.add_argument("--batches", default="8,32")
    parser.add_argument("--repeats", type=int, default=8)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import tensorflow as tf

    from search.bit.backbone import assign_official, build_tail, build_trunk
    from search.trials.head import runtime_head

    weights, rng = random_weights(R50X1), np.random.default_rng(0)
    trunk = build_trunk(R50X1, SIDE, [0])
    assign_official(trunk, weights.arrays)

    def both(function: Callable[[], Any]) -> list[Callable[[], Any]]:
        graphs = [tf.function(function, jit_compile=jit) for jit in (None, True)]
        return [lambda graph=graph: [each.numpy() for each in tf.nest.flatten(graph())] for graph in graphs]

    for batch in map(int, options.batches.split(",")):
        images = tf.constant(rng.uniform(-1, 1, (batch, SIDE, SIDE, 3)).astype(np.float32))
        compare(f"trunk, batch {batch}", *both(lambda images=images: trunk(images)), options.repeats)
    for depth in map(int, options.depths.split(",")):
        shape = R50X1.boundary_shape(depth, (SIDE, SIDE))
        boundary = keras.Input(shape)
        tail = build_tail(R50X1, depth, shape)
        assign_official(tail, weights.arrays)
        model = keras.Model(boundary, runtime_head(tail(boundary), width=256, n_classes=3))
        optimizer = keras.optimizers.SGD(1e-3, momentum=0.9)
        optimizer.build(model.trainable_variables)
        loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        values = tf.constant(rng.normal(size=(32, *shape)).astype(np.float32))
        labels = tf.constant(np.arange(32) % 3)

        def step(model=model, optimizer=optimizer, values=values, labels=labels, loss_of=loss_of):  # type: ignore[no-untyped-def]
            with tf.GradientTape() as tape:
                loss = loss_of(labels, model(values, training=True))
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            return loss

        compare(f"training step, depth {depth}, batch 32", *both(step), options.repeats)


if __name__ == "__main__":
    main()
