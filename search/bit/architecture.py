"""The shape of a BiT ResNet-v2 as plain numbers: units, channels, variable names, parameters by unfreeze depth.

Nothing here needs TensorFlow, so the command line, the plan and the documentation can ask for it at no cost.
Source: Kolesnikov et al. 2020, "Big Transfer (BiT)", and the variable names of the released checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod

EXPANSION = 4
ROOT_STRIDE_PIXELS = 4


@dataclass(frozen=True)
class Unit:
    """One pre-activation bottleneck unit.

    Args:
        prefix: Official name up to the unit, for example `resnet/block4/unit03`.
        in_channels: Channels of the residual stream that enters.
        width: Channels of the two inner convolutions; the unit's output has four times as many.
        stride: Stride of the 3x3 convolution and of the projection, 1 or 2.
        projects: Whether the shortcut is a 1x1 projection (a block's first unit) or the stream itself.
    """

    prefix: str
    in_channels: int
    width: int
    stride: int
    projects: bool

    @property
    def out_channels(self) -> int:
        """Channels of the residual stream that leaves."""
        return self.width * EXPANSION

    @property
    def variable_shapes(self) -> dict[str, tuple[int, ...]]:
        """Official name to shape of the unit's variables, in the order of the forward pass."""
        shapes: dict[str, tuple[int, ...]] = {}
        channels = (self.in_channels, self.width, self.width, self.out_channels)
        for letter, size, (entering, leaving) in zip("abc", (1, 3, 1), pairwise(channels), strict=True):
            shapes |= _norm_shapes(f"{self.prefix}/{letter}", entering)
            if letter == "a" and self.projects:
                shapes[f"{self.prefix}/a/proj/standardized_conv2d/kernel"] = (1, 1, entering, self.out_channels)
            shapes[f"{self.prefix}/{letter}/standardized_conv2d/kernel"] = (size, size, entering, leaving)
        return shapes


@dataclass(frozen=True)
class DepthRow:
    """One row of the table of unfreeze depths.

    Args:
        depth: Unfreeze depth.
        from_unit: The first unit that trains (`block4/unit03`, …, `root_block`), "" at depth 0.
        parameters: How many numbers of the backbone train, the head not counted.
    """

    depth: int
    from_unit: str
    parameters: int


@dataclass(frozen=True)
class BitArchitecture:
    """A BiT of any size.

    Unfreeze depth counts residual units from the end. Depth 0 trains nothing of the backbone, depth d >= 1 trains
    the last d units and the final group norm, `n_units` all units, and `n_units + 1` the root convolution as well.

    Args:
        units: Residual units of each block; every block after the first halves the resolution.
        width: Channels of the root; block i (from 0) works at `width * 2**i` inside and four times that outside.
        groups: Groups of every group norm, contiguous in the channels.
        name: How messages and manifests call it.

    Raises:
        ValueError: If a number is not positive or `groups` does not divide `width`.
    """

    units: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    groups: int = 32
    name: str = "bit"

    def __post_init__(self) -> None:
        if not self.units or min(*self.units, self.width, self.groups, 1) < 1:
            raise ValueError(f"Expected positive units, width and groups. Received: {self}")
        if self.width % self.groups:
            raise ValueError(f"Expected groups that divide the width. Received: {self}")

    @property
    def n_units(self) -> int:
        """Residual units of all blocks together."""
        return sum(self.units)

    @property
    def max_depth(self) -> int:
        """The unfreeze depth at which every variable trains, the root's kernel included."""
        return self.n_units + 1

    @property
    def n_features(self) -> int:
        """Length of the pooled feature vector."""
        return self.width * 2 ** (len(self.units) - 1) * EXPANSION

    @cached_property
    def unit_sequence(self) -> tuple[Unit, ...]:
        """All units in the order of the forward pass."""
        sequence = []
        channels = self.width
        for block, n_units in enumerate(self.units):
            width = self.width * 2**block
            for position in range(n_units):
                stride = 2 if block > 0 and position == 0 else 1
                prefix = f"resnet/block{block + 1}/unit{position + 1:02d}"
                sequence.append(Unit(prefix, channels, width, stride, projects=position == 0))
                channels = width * EXPANSION
        return tuple(sequence)

    @cached_property
    def variable_shapes(self) -> dict[str, tuple[int, ...]]:
        """Official name to shape of every variable, in the order of the forward pass, root first."""
        shapes: dict[str, tuple[int, ...]] = {"resnet/root_block/standardized_conv2d/kernel": (7, 7, 3, self.width)}
        for unit in self.unit_sequence:
            shapes |= unit.variable_shapes
        return shapes | _norm_shapes("resnet", self.n_features)

    def convolution_flop(self, image_size: int) -> tuple[int, ...]:
        """Floating-point operations of the convolutions for one image, a multiply-add counted as two.

        Args:
            image_size: Side of the image in pixels.

        Returns:
            Those of the root, then those of each residual unit; the last n are a tail of unfreeze depth n. A training
            step takes three times as many: forward, to the weights, and to the inputs (needed down to the boundary,
            for the first unit's norm is trained as well).
        """
        rows = (image_size + 6 - 7) // 2 + 1
        counts = [2 * rows * rows * 7 * 7 * 3 * self.width]
        rows = (rows + 2 - 3) // 2 + 1
        for unit in self.unit_sequence:
            out_rows = -(-rows // unit.stride)
            count = rows * rows * unit.in_channels * unit.width
            count += out_rows * out_rows * unit.width * (9 * unit.width + unit.out_channels)
            count += out_rows * out_rows * unit.in_channels * unit.out_channels if unit.projects else 0
            counts.append(2 * count)
            rows = out_rows
        return tuple(counts)

    def check_depth(self, depth: int) -> int:
        """Give back `depth` if this architecture has it.

        Raises:
            ValueError: If it is outside 0 … `max_depth`.
        """
        if not 0 <= depth <= self.max_depth:
            raise ValueError(f"Expected an unfreeze depth from 0 to {self.max_depth}. Received: {depth}")
        return depth

    def trained_variables(self, depth: int) -> tuple[str, ...]:
        """Official names of the variables that train at an unfreeze depth, in the order of the forward pass."""
        if self.check_depth(depth) == 0:
            return ()
        if depth == self.max_depth:
            return tuple(self.variable_shapes)
        names = [name for unit in self.unit_sequence[self.n_units - depth :] for name in unit.variable_shapes]
        return (*names, *_norm_shapes("resnet", self.n_features))

    def trained_parameters(self, depth: int) -> int:
        """How many numbers train at an unfreeze depth."""
        return sum(prod(self.variable_shapes[name]) for name in self.trained_variables(depth))

    def depth_table(self) -> tuple[DepthRow, ...]:
        """What each unfreeze depth trains, from the head only to everything."""
        units = (unit.prefix.removeprefix("resnet/") for unit in reversed(self.unit_sequence))
        first_trained = enumerate(("", *units, "root_block"))
        return tuple(DepthRow(depth, first, self.trained_parameters(depth)) for depth, first in first_trained)

    def boundary_shape(self, depth: int, image_size: tuple[int, int]) -> tuple[int, ...]:
        """Shape of one image's boundary tensor, the input of what trains at `depth`.

        Args:
            depth: Unfreeze depth.
            image_size: Height and width in pixels.

        Returns:
            (features,) at depth 0, (height, width, 3) at `max_depth`, else (rows, columns, channels) of the residual
            stream before the first unit that trains.
        """
        if self.check_depth(depth) == 0:
            return (self.n_features,)
        if depth == self.max_depth:
            return (*image_size, 3)
        before = self.unit_sequence[: self.n_units - depth]
        stride = ROOT_STRIDE_PIXELS * prod(unit.stride for unit in before)
        rows, columns = (-(-side // stride) for side in image_size)
        return (rows, columns, before[-1].out_channels if before else self.width)


def _norm_shapes(prefix: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}/group_norm/gamma": (channels,), f"{prefix}/group_norm/beta": (channels,)}


R50X1 = BitArchitecture((3, 4, 6, 3), 64, 32, "R50x1")
R101X1 = BitArchitecture((3, 4, 23, 3), 64, 32, "R101x1")
# For the demonstration and the tests: every kind of unit once, hundreds of images a second on two cores.
SMALL = BitArchitecture((1, 1, 1, 1), 16, 8, "small")
