"""The precision of a run's backbone: float32, or bfloat16 where the hardware has it and a probe finds it faster.

Only the arithmetic of the trunk and of the tail's backbone is affected. Weights, weight standardisation, group-norm
statistics, head, loss and optimizer are float32 under every policy, and so is the exported file.

`auto` never touches the trunk. It runs once, and sixteen units of bfloat16 move the features by 2 % at 224 px and 5 %
at 96 px, which the exported file would not repeat; the few units of a tail, trained for most of a run, move them by
0.3 %.

`auto` is settled once, when a run begins, and written into run.json: a search never mixes two policies. The probe is a
measurement of time, so its answer is kept in the cache folder and asked again only on another processor or TensorFlow.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from search.errors import RunError
from search.files.atomic import write_atomic

POLICIES = {
    "float32": ("float32", "float32"),
    "bfloat16-tail": ("float32", "mixed_bfloat16"),
    "bfloat16": ("mixed_bfloat16", "mixed_bfloat16"),
}
"""What a configuration names, and Keras's dtype policies of trunk and tail."""

MEASURED_DEVIATION = {"float32": 4.4e-6, "bfloat16-tail": 0.0026, "bfloat16": 0.024}
"""Relative L2 of R50x1's features from float32's (two images, 224 px, a tail of three units; float32 itself: from
Google's code); tests hold them as bounds. float16 (0.0033) is not offered: training in it needs a scaled loss."""

WORTHWHILE = 1.2
"""A smaller gain than this is not worth bfloat16's deviation."""

CPUINFO = Path("/proc/cpuinfo")
_PROBE_SECONDS = 0.8
_PROBE_FILE = "bfloat16-probe.json"
_BFLOAT16_CAPABILITY = (8, 0)  # NVIDIA's Ampere; older cards compute bfloat16 in software.


@dataclass(frozen=True)
class PrecisionChoice:
    """A precision and why it was taken.

    Args:
        name: A key of `POLICIES`.
        reason: A few words for the log and the manifest.
    """

    name: str
    reason: str

    @property
    def trunk_policy(self) -> str:
        """Keras's dtype policy of the frozen trunk."""
        return POLICIES[self.name][0]

    @property
    def tail_policy(self) -> str:
        """Keras's dtype policy of what is trained of the backbone."""
        return POLICIES[self.name][1]

    @property
    def deviation(self) -> float:
        """Measured relative deviation of the backbone's features."""
        return MEASURED_DEVIATION[self.name]


def choose_precision(
    requested: str = "auto", *, began_with: str | None = None, cache: Path | None = None, cpuinfo: Path = CPUINFO
) -> PrecisionChoice:
    """Settle the precision of a run.

    Args:
        requested: "auto", or a key of `POLICIES`, which is taken as it is.
        began_with: What `auto` was when the run that is resumed began; it is kept.
        cache: Where the probe's answer is kept; None asks the probe.
        cpuinfo: What the processor announces.

    Raises:
        ValueError: If the requested precision is unknown.
        RunError: If the run began with bfloat16 and this machine has none.
    """
    if requested in POLICIES:
        return PrecisionChoice(requested, "as configured")
    if requested != "auto":
        raise ValueError(f"Expected auto or one of {', '.join(POLICIES)}. Received: {requested}")
    lack = lacking_bfloat16(cpuinfo)
    if began_with == "bfloat16-tail" and lack:
        raise RunError(
            expected="a machine with bfloat16, for the run began with it (search.precision = auto)",
            found=lack,
            remedy="Resume it where it began, or use --fresh or another --name.",
        )
    if began_with in POLICIES:
        return PrecisionChoice(began_with, "as the run began")
    if lack:
        return PrecisionChoice("float32", lack)
    if _gpu_capabilities():
        return PrecisionChoice("bfloat16-tail", "the GPU has bfloat16")
    gain = _remembered_gain(cache) if cache else probe_bfloat16_gain()
    name = "bfloat16-tail" if gain >= WORTHWHILE else "float32"
    return PrecisionChoice(name, f"bfloat16 trained at {gain:.2f} times float32's speed in a probe")


def lacking_bfloat16(cpuinfo: Path = CPUINFO) -> str:
    """What keeps this machine from computing in bfloat16 in hardware, "" if nothing does."""
    capabilities = _gpu_capabilities()
    if capabilities:
        return "" if min(capabilities) >= _BFLOAT16_CAPABILITY else "the GPU has no bfloat16"
    return "" if has_bfloat16_instructions(cpuinfo) else "the CPU has no bfloat16"


def has_bfloat16_instructions(cpuinfo: Path = CPUINFO) -> bool:
    """Whether the CPU announces bfloat16 products; False where there is no such file (macOS)."""
    try:
        words = set(cpuinfo.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return False
    # Intel's tiles, the vector instructions of Intel and AMD, and Arm's.
    return bool(words & {"amx_bf16", "avx512_bf16", "bf16"})


def probe_bfloat16_gain() -> float:
    """How many times faster than in float32 R50x1's last unit trains in bfloat16; takes about two seconds.

    The two are timed in turn, so that a machine that is busy with something else slows both.
    """
    import numpy as np
    import tensorflow as tf

    from search.bit.architecture import R50X1
    from search.bit.backbone import build_tail

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


def _remembered_gain(cache: Path) -> float:
    """The probe's answer for this processor and TensorFlow, measured if it is not known yet."""
    from filelock import FileLock

    cache.mkdir(parents=True, exist_ok=True)
    file, machine = cache / _PROBE_FILE, _machine()
    with FileLock(file.with_suffix(".lock")):
        try:
            known = json.loads(file.read_text(encoding="utf-8"))
            if known["machine"] == machine:
                return float(known["gain"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        gain = probe_bfloat16_gain()
        write_atomic(file, json.dumps({"machine": machine, "gain": gain}, indent=2) + "\n")
    return gain


def _machine() -> list[str]:
    """What the probe's answer depends on."""
    import os

    import tensorflow as tf

    from search.machine.device import processor_name

    return [processor_name(), f"{os.cpu_count()} cores", str(tf.__version__)]


def _gpu_capabilities() -> list[tuple[int, ...]]:
    """Compute capability of each GPU; (0, 0) of one that tells none."""
    import tensorflow as tf

    details = (tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU"))
    return [tuple(found.get("compute_capability") or (0, 0)) for found in details]
