"""The precision policy `auto`: bfloat16 where the hardware has it and a one-second probe finds it faster.

Weight masters, weight standardisation and group-norm statistics are float32 under every policy (`search.bit_layers`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

# Relative L2 of R50x1's features from Google's float32 features (two images, 224 px); tests hold them as bounds.
MEASURED_DEVIATION = {"float32": 4.4e-6, "mixed_bfloat16": 0.032, "mixed_float16": 0.0045}
# A smaller gain than this is not worth bfloat16's deviation.
WORTHWHILE = 1.2
_PROBE_SECONDS = 0.4


@dataclass(frozen=True)
class PrecisionChoice:
    """A dtype policy and why it was taken.

    Args:
        policy: A Keras dtype policy: float32, mixed_bfloat16 or mixed_float16.
        reason: One line for the log and the manifest.
    """

    policy: str
    reason: str

    @property
    def deviation(self) -> float:
        """Measured relative deviation of the backbone's features under the policy."""
        return MEASURED_DEVIATION[self.policy]


def choose_precision(requested: str = "auto") -> PrecisionChoice:
    """Resolve a requested policy.

    Args:
        requested: `auto`, or a policy of `MEASURED_DEVIATION`, which is taken as it is.

    Raises:
        ValueError: If the policy is unknown.
    """
    if requested in MEASURED_DEVIATION:
        return PrecisionChoice(requested, "as configured")
    if requested != "auto":
        raise ValueError(f"Expected auto or one of {', '.join(MEASURED_DEVIATION)}. Received: {requested}")
    import keras

    if keras.distribution.list_devices("gpu"):
        return PrecisionChoice("mixed_bfloat16", "a GPU is present")
    if not has_bfloat16_tiles():
        return PrecisionChoice("float32", "the CPU has no AMX bfloat16 tiles")
    gain = probe_bfloat16_gain()
    policy = "mixed_bfloat16" if gain >= WORTHWHILE else "float32"
    return PrecisionChoice(policy, f"bfloat16 ran at {gain:.2f} times float32's speed in a probe of the backbone")


def has_bfloat16_tiles(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU announces AMX bfloat16; False where there is no such file (macOS)."""
    try:
        return "amx_bf16" in cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def probe_bfloat16_gain() -> float:
    """How many times faster than in float32 the last block's unit runs in bfloat16; takes about a second."""
    import numpy as np

    from search.bit_architecture import BitArchitecture
    from search.bit_backbone import build_trunk

    # One unit each of R50x1's widths: the same mix of convolutions and norms, a twentieth of the time to build.
    arch = BitArchitecture((1, 1, 1, 1), 64, 32, "probe")
    images = np.random.default_rng(0).uniform(-1, 1, (8, 128, 128, 3)).astype(np.float32)
    seconds = {}
    for policy in ("float32", "mixed_bfloat16"):
        trunk = build_trunk(arch, 128, [0], dtype=policy)
        trunk.predict_on_batch(images)
        runs: list[float] = []
        end = time.perf_counter() + _PROBE_SECONDS
        while not runs or time.perf_counter() < end:
            start = time.perf_counter()
            trunk.predict_on_batch(images)
            runs.append(time.perf_counter() - start)
        seconds[policy] = min(runs)
    return seconds["float32"] / seconds["mixed_bfloat16"]
