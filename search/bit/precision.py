"""The precision of a run's backbone: float32, or bfloat16 where the hardware has it and a probe finds it faster.

Only the arithmetic of the trunk and of the tail's backbone is affected. Weights, weight standardisation, group-norm
statistics, head, loss and optimizer are float32 under every policy, and so is the exported file.

`auto` never touches the trunk. It runs once, and sixteen units of bfloat16 move the features by 2 % at 224 px and 5 %
at 96 px, which the exported file would not repeat; the few units of a tail, trained for most of a run, move them by
0.3 %.

`auto` is settled once, when a run begins, and written into run.json: a search never mixes two policies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from search.errors import RunError

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
    requested: str, *, gain: Callable[[], float], began_with: str | None = None, cpuinfo: Path = CPUINFO
) -> PrecisionChoice:
    """Settle the precision of a run.

    Args:
        requested: "auto", or a key of `POLICIES`, which is taken as it is.
        gain: Measures how many times faster than float32 bfloat16 trains here; asked only where it decides.
        began_with: What `auto` was when the run that is resumed began; it is kept.
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
    measured = gain()
    name = "bfloat16-tail" if measured >= WORTHWHILE else "float32"
    return PrecisionChoice(name, f"bfloat16 trained at {measured:.2f} times float32's speed in a probe")


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


def _gpu_capabilities() -> list[tuple[int, ...]]:
    """Compute capability of each GPU; (0, 0) of one that tells none."""
    import tensorflow as tf

    details = (tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU"))
    return [tuple(found.get("compute_capability") or (0, 0)) for found in details]
