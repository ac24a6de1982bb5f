"""Device memory: what a search is expected to need at most of it, from shapes alone.

Training keeps, for the way back, what each convolution and each norm of the tail has read; the deepest unit needs as
much again while its gradients are made. On a CPU R50x1's tails took 0.84 to 0.86 of it (0.71 GB of 0.83 at depth 3 and
224 px, 0.98 of 1.15 at 448 px and 16 images a step, 1.01 of 1.20 at depth 6 and 224 px). A GPU has not been measured;
TensorFlow, CUDA and cuDNN want some hundred megabytes beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from search.bit.architecture import BitArchitecture, Unit
from search.bit.family import architecture_of
from search.config.schema import Config
from search.machine.places import device_memory
from search.text import size_text

_CHUNK_BYTES = 256 * 2**20
"""Stored values that are handed over at a time, unless one batch is larger (`search.trials.tail`)."""

_COPIES_OF_PARAMETERS = 4
"""Value, standardised value, gradient and momentum."""

SHARE = 0.9
"""Of the device's memory that a search may count on."""

BANKS_SHARE = 0.5
"""Of it that banks may take: a driver that evaluates on the first worker's GPU, and CUDA, want their part as well."""


def expected_peak(
    architecture: BitArchitecture, depth: int, *, image_size: int, batch_size: int, precision: str = "float32"
) -> int:
    """Bytes of device memory that training at an unfreeze depth needs at most.

    Args:
        architecture: The backbone's.
        depth: Unfreeze depth.
        image_size: Side of the prepared images in pixels.
        batch_size: Images a step.
        precision: "float32", "bfloat16-tail" or "bfloat16".
    """
    boundary = prod(architecture.boundary_shape(depth, (image_size, image_size)))
    stored = boundary * (4 if depth == 0 else 2)
    parameters = 4 * _COPIES_OF_PARAMETERS * architecture.trained_parameters(depth)
    kept = _unit_values(architecture, image_size)[architecture.max_depth - depth :]
    bytes_a_value = 4 if precision == "float32" else 2
    activations = (sum(kept) + max(kept, default=0)) * bytes_a_value + 4 * boundary
    return max(_CHUNK_BYTES, batch_size * stored) + batch_size * activations + parameters


def what_fits(config: Config, memory_bytes: int, precision: str) -> str | None:
    """What a search has to change to fit a device, as it is typed; None where it is expected to fit.

    Args:
        config: The configuration.
        memory_bytes: Of the device.
        precision: As for `expected_peak`.
    """

    def fits(depth: int, batch_size: int) -> bool:
        search = config.search.model_copy(update={"batch_size": batch_size})
        tried = config.model_copy(update={"search": search})
        return expected_peaks(tried, precision, (depth,))[depth] <= SHARE * memory_bytes

    deepest, batch = max(config.space.depths), config.search.batch_size
    if fits(deepest, batch):
        return None
    smaller = next(
        (batch >> halved for halved in range(1, batch.bit_length() - 1) if fits(deepest, batch >> halved)), None
    )
    if smaller is not None:
        return f"--set search.batch_size={smaller}"
    shallower = [depth for depth in config.space.depths if fits(depth, batch)]
    return f"--set space.unfreeze_depth={shallower}" if shallower else "a smaller --image-size"


def half_the_batch(batch_size: int) -> str:
    """What to try where the memory was too small, and nobody knows what it holds."""
    smaller = batch_size // 2
    return f"--set search.batch_size={smaller}" if smaller >= 2 else "a smaller --image-size"


@dataclass(frozen=True)
class MemoryDemand:
    """What a search asks of a device's memory.

    Attributes:
        config: The configuration.
        precision: As for `expected_peak`.
    """

    config: Config
    precision: str

    @classmethod
    def of(cls, config: Config) -> MemoryDemand:
        """Before the precision is settled: in the one that needs most."""
        return cls(config, "float32" if config.search.precision == "auto" else config.search.precision)

    def room_for_banks(self, memory_bytes: int) -> int:
        """Bytes of a device of so many that banks may take together, beside the expected peak."""
        peak = max(expected_peaks(self.config, self.precision).values())
        return max(0, int(min(BANKS_SHARE * memory_bytes, SHARE * memory_bytes - peak)))

    def smaller(self, memory_bytes: int | None = None) -> str:
        """What to try where memory has run out, as it is typed: what is expected to fit, or half the batch.

        Args:
            memory_bytes: Of the device; None for that of this process.
        """
        memory = device_memory() if memory_bytes is None else memory_bytes
        return what_fits(self.config, memory, self.precision) or half_the_batch(self.config.search.batch_size)


def expected_peaks(config: Config, precision: str, depths: Sequence[int] | None = None) -> dict[int, int]:
    """`expected_peak` of each depth that a configuration searches, or of those given."""
    architecture = architecture_of(config.backbone.name)
    return {
        depth: expected_peak(
            architecture,
            depth,
            image_size=config.preparation.image_size,
            batch_size=config.search.batch_size,
            precision=precision,
        )
        for depth in depths or config.space.depths
    }


def describe_peaks(peaks: Mapping[int, int]) -> str:
    """Peaks in words, the shallowest and the deepest."""
    shallow, deep = min(peaks), max(peaks)
    beside = f", {size_text(peaks[shallow])} at depth {shallow}" if shallow != deep else ""
    return f"{size_text(peaks[deep])} at depth {deep}{beside}"


def describe_kept(banks: Mapping[int, int], room: int) -> str:
    """Which banks a device keeps, in words.

    Args:
        banks: Unfreeze depth to the bank's bytes.
        room: Bytes that they may take together.
    """
    kept = {depth: size for depth, size in banks.items() if size <= room}
    if not kept:
        return "no bank is kept there"
    together = "" if sum(kept.values()) <= room else ", as many at a time as fit"
    return f"the banks of depth {', '.join(map(str, kept))} are kept there{together}"


def _unit_values(architecture: BitArchitecture, image_size: int) -> tuple[int, ...]:
    """Numbers kept for the way back of the root and of each unit, one image."""
    rows = -(-image_size // 2)
    values = [2 * rows * rows * architecture.width]
    rows = -(-rows // 2)
    for unit in architecture.unit_sequence:
        out_rows = -(-rows // unit.stride)
        values.append(_values_of(unit, rows * rows, out_rows * out_rows))
        rows = out_rows
    return tuple(values)


def _values_of(unit: Unit, pixels: int, out_pixels: int) -> int:
    """Before and behind each norm, and what leaves."""
    return 2 * pixels * (unit.in_channels + unit.width) + out_pixels * (2 * unit.width + unit.out_channels)
