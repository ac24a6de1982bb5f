"""The probe of bfloat16: how much faster this machine trains in it than in float32, measured once and kept.

It is a measurement of time, so its answer is kept in the cache folder and asked again only on another processor or
TensorFlow.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from mammo_data.locks import Lock
from search.bit.architecture import R50X1
from search.bit.backbone import build_tail
from search.files.atomic import write_atomic
from search.machine.libraries import processor_name

_PROBE_SECONDS = 0.8
_PROBE_FILE = "bfloat16-probe.json"


def bfloat16_gain(cache: Path) -> float:
    """How many times faster than in float32 R50x1's last unit trains in bfloat16.

    Args:
        cache: Folder where the answer is kept; measuring takes about two seconds.
    """
    cache.mkdir(parents=True, exist_ok=True)
    file, machine = cache / _PROBE_FILE, [processor_name(), f"{os.cpu_count()} cores", str(tf.__version__)]
    if (gain := _known(file, machine)) is not None:
        return gain
    # Two that measure at once would slow each other.
    with Lock(file.with_suffix(".lock"), "measures how fast bfloat16 is here"):
        if (gain := _known(file, machine)) is None:
            gain = _measured()
            write_atomic(file, json.dumps({"machine": machine, "gain": gain}, indent=2) + "\n")
    return gain


def _known(file: Path, machine: list[str]) -> float | None:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        return float(known["gain"]) if known["machine"] == machine else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _measured() -> float:
    # The two are timed in turn, so that a machine that is busy with something else slows both.
    shape = R50X1.boundary_shape(1, (448, 448))
    batch = tf.constant(np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32))

    def training_step(policy: str) -> Callable[[], object]:
        tail = build_tail(R50X1, 1, shape, dtype=policy)

        @tf.function
        def step():  # type: ignore[no-untyped-def]  # TensorFlow has no types here
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(tail(batch, training=True)))
            return tf.add_n([tf.reduce_sum(one) for one in tape.gradient(loss, tail.trainable_variables)])

        return lambda: step().numpy()

    steps = {policy: training_step(policy) for policy in ("float32", "mixed_bfloat16")}
    for step in steps.values():
        step()
    seconds: dict[str, list[float]] = {policy: [] for policy in steps}
    end = time.perf_counter() + _PROBE_SECONDS
    while time.perf_counter() < end or len(seconds["float32"]) < 3:
        for policy, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[policy].append(time.perf_counter() - start)
    return min(seconds["float32"]) / min(seconds["mixed_bfloat16"])
