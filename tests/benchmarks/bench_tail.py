"""Tail training beside this machine's rate of matrix products, and images trained a second at every depth.

Run: uv run python tests/benchmarks/bench_tail.py [--depths 0,1,2,3,6] [--dtype float32|bfloat16] [--json]

Epochs of one fold as a search trains them (R50x1's tails, as many images as MIAS has for development, batch 32) on
synthetic boundary values, each followed by a validation and by a matrix product, so that a busy machine slows all
three. Printed are medians. A training step counts three times the operations of the tail's convolutions; bfloat16
stands beside products in bfloat16. The goals are a share of 0.95 in float32 and 0.7 in bfloat16, at depths 1 to 3.

Measured on 2 cores (Xeon with AMX) that other processes used as well, before and after the loops of
`search/bit/fused.py`, in turn in one process, shares by medians: float32 0.47 and 0.68 (depth 1), 0.57 and 0.70 (depth
3); bfloat16 0.25 and 0.45 (depth 1), 0.25 and 0.42 (depth 3). Times by minima: 0.85 and 0.84 of what they were; 0.64
and 0.60. On 30 November 2026, alone on such a machine: depth 6 0.84 of 230 GFLOP/s in float32 and 0.48 of 920 in
bfloat16; depths 1 to 3 0.73 to 0.81 of 168 to 182, and 0.42 to 0.51 of 504 to 681. In processor time of one thread
oneDNN's convolutions and products of 7 by 7 pixels reach 0.80 to 0.96 of a square product's rate in float32, so that a
step of depth 1 without anything else would reach 0.88 there. Tried, no gain:
    the first convolution's gradient to its input: the norm below it needs it
    1x1 convolutions as MatMul, not BatchMatMul: to the kernel 0.67 of a product's rate at 14 by 14 pixels, not 0.86
    1x1 convolutions as products in validation as well: 0.98 to 1.12 times the time
    3x3 to the kernel as nine products, one over all patches, or shifted rows: slower in float32, and in bfloat16
    with 256 channels
    norm and standardisation in TensorFlow's operations with the gradients written out: less than XLA's loops gain
    Adam by TensorFlow's kernel: 3 times as fast, but 1 − β₂ is rounded, which moves velocities by 1e-5
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time

WIDTHS = (64, 128, 256, 512, 1024)


def measure(depth: int, widths: tuple[int, ...], epochs: int, side: int, dtype: str) -> dict[str, float]:
    """One depth; times are medians over all epochs of a width, then means over the widths."""
    from search.bit.architecture import R50X1
    from search.bit.precision import POLICIES
    from search.bit.weights import random_weights
    from search.plan.space import Configuration
    from search.trials.cross_validation import train_epoch
    from search.trials.data import TrainingSettings
    from search.trials.worker import TrainerPool
    from tests.benchmarks.bench_runs import synthetic_data
    from tests.benchmarks.usage import matrix_product_rate

    data = synthetic_data((depth,), side)
    bank, (training, validation) = data.banks[depth], data.folds[0]
    settings = TrainingSettings(seed=0, batch_size=32, steps_per_epoch=-(-len(training) // 32), full_epochs=epochs)
    _, policy = POLICIES["bfloat16-tail" if dtype == "bfloat16" else dtype]
    pool = TrainerPool(R50X1, random_weights(R50X1, 0), data, optimizer="sgd", dtype=policy)
    train, validate, products, builds = [], [], [], []
    for width in widths:
        configuration = Configuration(width, dropout=0.3, l2=1e-4, learning_rate=1e-3, unfreeze_depth=depth)
        start = time.perf_counter()
        trainer = pool(configuration)
        made = time.perf_counter() - start
        trainer.begin(configuration, settings.seed, "fold", 0)
        clocks: list[tuple[float, float]] = []
        for epoch in range(1, epochs + 2):
            start = time.perf_counter()
            train_epoch(trainer, configuration, data, settings, training, epoch, "fold", 0)
            trained = time.perf_counter()
            trainer.logits(bank.values, bank.offsets[validation])
            clocks.append((trained - start, time.perf_counter() - trained))
            products.append(matrix_product_rate(dtype))
        builds.append(made + trainer.build_seconds)
        for seconds, column in zip((train, validate), zip(*clocks[1:], strict=True), strict=True):
            seconds.append(statistics.median(column))
    images = settings.steps_per_epoch * settings.batch_size
    seconds, product = statistics.mean(train), statistics.median(products)
    found = {
        "images_trained_a_second_with_validation": images / (seconds + statistics.mean(validate)),
        "matmul_gflops": product / 1e9,
        "longest_build_seconds": max(builds),
    }
    if depth:
        flop = sum(R50X1.convolution_flop(side)[-depth:])
        rate, validated = 3 * flop * images / seconds, flop * len(validation) / statistics.mean(validate)
        found |= {"gflops": rate / 1e9, "share_of_matmul_rate": rate / product, "share_validating": validated / product}
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", default="0,1,2,3")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from search.machine.libraries import start_tensorflow

    start_tensorflow(deterministic=True)
    found = {}
    for depth in map(int, options.depths.split(",")):
        # The head's width hardly counts beside a unit; at depth 0 it is everything.
        widths, epochs = (WIDTHS, 10 * options.epochs) if depth == 0 else ((256,), options.epochs)
        found[depth] = measure(depth, widths, epochs, options.side, options.dtype)
        if not options.json:
            lines = [f"  {name.replace('_', ' '):<42} {value:,.3g}\n" for name, value in found[depth].items()]
            sys.stdout.write(f"depth {depth}\n{''.join(lines)}")
            sys.stdout.flush()
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
