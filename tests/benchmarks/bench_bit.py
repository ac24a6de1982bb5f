"""Forward pass of R50x1 beside the matrix-multiplication rate of the same machine in the same run.

Run: uv run python tests/benchmarks/bench_bit.py [--batches 8,16,32] [--repeats 12]

Goal: at least 60 % of the float32 matmul rate at 224 px. Each forward pass is timed right after a product of
2048 x 2048 matrices, so that a busy machine slows both; the share is of the medians, the rates are given as well.

Measured on 2 cores (Xeon with AMX, float32, all kernels folded). The first column is the share while the machine had
nothing else to do (matmul 390 to 400 GFLOP/s), at the batch in brackets; where another process ran as well (matmul
about 200), the share is marked with ~ and is less sure.
    Keras's own GroupNormalization                                       0.47 (16)
    moments by reduction, one scale-and-shift                            0.55 (8), 0.56 (32)
    the same, whole graph under XLA (jit_compile)                        0.59 (8), 0.24 (1)
    the same, only the norm under XLA                                    0.59 (16), ~0.65 (8), ~0.41 (1)
    E[x²] − E[x]² in place of two passes                                 0.55 (8), 0.58 (16), and it cancels
    moments as products with a row of 1/n (what is used)                 0.57 (8), 0.62 (16), 0.61 (32)
    the same, the scale-and-shift under XLA                              0.58 (8), 0.62 (32)
    no norm at all (what the convolutions alone reach)                   ~0.84 (8), ~0.82 (32)
On 2 cores of an AMD EPYC what is used reaches 0.84 (8) and 0.70 (32), ~0.78 (8) and ~0.77 (32).
Batches of 1, 2 and 4 reach 0.31, 0.40 and 0.5: their tensors are too small for two cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from search.bit.architecture import R50X1
from search.bit.weights import random_weights

SIDE = 224
MATRIX = 2048


def interleaved(one: Callable[[], object], other: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median seconds of two functions that are run in turn."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 2):
        for function, runs in zip((one, other), seconds, strict=True):
            start = time.perf_counter()
            function()
            if turn > 1:
                runs.append(time.perf_counter() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def main() -> None:
    """Print one line a batch size and policy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", default="8,16,32")
    parser.add_argument("--policies", default="float32")
    parser.add_argument("--repeats", type=int, default=12)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    from search.bit.backbone import assign_official, build_trunk

    matrix = tf.random.normal((MATRIX, MATRIX))
    product = tf.function(lambda: tf.matmul(matrix, matrix))
    flop = sum(R50X1.convolution_flop(SIDE))
    weights = random_weights(R50X1)
    for policy in options.policies.split(","):
        trunk = build_trunk(R50X1, SIDE, [0], dtype=policy)
        assign_official(trunk, weights.arrays)
        for batch in map(int, options.batches.split(",")):
            images = np.random.default_rng(0).uniform(-1, 1, (batch, SIDE, SIDE, 3)).astype(np.float32)
            forward = partial(trunk.predict_on_batch, images)
            matmul_s, forward_s = interleaved(lambda: product().numpy(), forward, options.repeats)
            matmul_rate, forward_rate = 2 * MATRIX**3 / matmul_s / 1e9, flop * batch / forward_s / 1e9
            sys.stdout.write(
                f"{policy}, batch {batch}: forward {forward_rate:.0f} of {matmul_rate:.0f} GFLOP/s (float32 matmul), "
                f"share {forward_rate / matmul_rate:.2f}, {batch / forward_s:.1f} images/s\n"
            )


if __name__ == "__main__":
    main()
