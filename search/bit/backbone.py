"""BiT as a native Keras 3 graph: the whole backbone, the frozen trunk, the trainable tail and the exported form.

One wiring (`_forward`) serves all four, so that they can't drift apart; they differ in where they start, where they
stop, and in the layers they are made of. Layers carry the official variable names with dots for slashes (Keras forbids
slashes), which `official_variables` turns back. Agreement with Google's TF2 code:
tests/search/bit/test_bit_agreement.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from search.bit.architecture import BitArchitecture, Unit
from search.bit.layers import GROUP_NORM_EPSILON, ChannelMomentsGroupNorm, PixelMean, StandardizedConv2D, fold_kernel

ImageSize = int | tuple[int | None, int | None] | None
ROOT_CONV = "resnet/root_block/standardized_conv2d"
FINAL_NORM = "resnet/group_norm"
POOL = "resnet.pool"


@dataclass(frozen=True)
class _TrainableLayers:
    """This package's layers: the kernel is standardised on every call, so it can train."""

    dtype: Any

    def convolve(self, x: Any, name: str, filters: int, size: int, stride: int = 1) -> Any:
        return StandardizedConv2D(filters, size, stride, size // 2, name=_layer_name(name), dtype=self.dtype)(x)

    def norm_relu(self, x: Any, name: str, groups: int) -> Any:
        return ChannelMomentsGroupNorm(groups, name=_layer_name(name), dtype=self.dtype)(x)

    def pool(self, x: Any) -> Any:
        return PixelMean(name=POOL, dtype="float32")(x)


@dataclass(frozen=True)
class _FoldedLayers(_TrainableLayers):
    """Plain convolutions over kernels that were standardised once: for what never trains."""

    def convolve(self, x: Any, name: str, filters: int, size: int, stride: int = 1) -> Any:
        layer_name = _layer_name(name)
        padding = "valid"
        if size > 1 and stride == 1:
            padding = "same"
        elif size > 1:
            x = keras.layers.ZeroPadding2D(size // 2, name=f"{layer_name}.pad", dtype=self.dtype)(x)
        layer = keras.layers.Conv2D(filters, size, stride, padding, use_bias=False, name=layer_name, dtype=self.dtype)
        return layer(x)

    def pool(self, x: Any) -> Any:
        return keras.layers.GlobalAveragePooling2D(name=POOL, dtype="float32")(x)


@dataclass(frozen=True)
class _KerasLayers(_FoldedLayers):
    """Keras's own layers only, so that a saved file opens where this package is not installed."""

    def norm_relu(self, x: Any, name: str, groups: int) -> Any:
        layer = keras.layers.GroupNormalization(
            groups, epsilon=GROUP_NORM_EPSILON, name=_layer_name(name), dtype=self.dtype
        )
        return keras.layers.ReLU(name=f"{_layer_name(name)}.relu", dtype=self.dtype)(layer(x))


def boundary_key(depth: int) -> str:
    """The key of a depth's boundary tensor in the trunk's output."""
    return f"depth_{depth}"


def build_trunk(
    arch: BitArchitecture, image_size: ImageSize, depths: Sequence[int], *, fold: bool = True, dtype: Any = "float32"
) -> keras.Model:
    """The frozen part: pixels to the boundary tensors of all `depths` in one pass.

    Args:
        arch: Architecture.
        image_size: Side, (height, width), or None for any size.
        depths: Unfreeze depths, each from 0 to `arch.max_depth`.
        fold: Hold standardised kernels in plain convolutions (faster; `assign_official` folds on assignment).
        dtype: Dtype policy of the graph, for example `mixed_bfloat16`.

    Returns:
        A model without trainable variables from float32 [B, H, W, 3] in [−1, 1] to a dict with one entry a depth under
        `boundary_key(depth)`: the pooled float32 [B, n_features] at depth 0, else the residual stream before the
        depth-th unit from the end, in the policy's compute dtype; the pixels themselves at `arch.max_depth`.

    Raises:
        ValueError: If no depth is given, or one that the architecture lacks.
    """
    if not depths:
        raise ValueError("Expected at least one unfreeze depth. Received: none")
    layers = _FoldedLayers(dtype) if fold else _TrainableLayers(dtype)
    pixels = _pixels(image_size)
    boundaries = _forward(arch, layers, pixels, arch.max_depth, {arch.check_depth(depth) for depth in depths})
    outputs = {boundary_key(depth): boundaries[depth] for depth in sorted(set(depths))}
    trunk = keras.Model(pixels, outputs, name=f"{arch.name}_trunk")
    trunk.trainable = False
    return trunk


def build_tail(
    arch: BitArchitecture, depth: int, boundary_shape: Sequence[int | None], *, dtype: Any = "float32"
) -> keras.Model:
    """The trainable part: one depth's boundary tensor to the pooled features.

    Args:
        arch: Architecture.
        depth: Unfreeze depth; 0 gives the identity, `arch.max_depth` the whole backbone.
        boundary_shape: Shape of one image's boundary tensor, as `arch.boundary_shape` gives it; sides may be None.
        dtype: Dtype policy; variables and statistics stay float32.

    Returns:
        A model [B, *boundary_shape] → float32 [B, n_features] whose variables are exactly
        `arch.trained_variables(depth)`.

    Raises:
        ValueError: If the architecture has no such depth or the channels don't fit.
    """
    expected = arch.boundary_shape(depth, (1, 1))
    if len(boundary_shape) != len(expected) or boundary_shape[-1] != expected[-1]:
        raise ValueError(
            f"Expected a boundary of shape (…, {expected[-1]}) at depth {depth}. Received: {boundary_shape}"
        )
    boundary = keras.Input(tuple(boundary_shape), dtype="float32", name="boundary")
    features = _forward(arch, _TrainableLayers(dtype), boundary, depth, {0})[0]
    return keras.Model(boundary, features, name=f"{arch.name}_tail_{depth}")


def build_backbone(arch: BitArchitecture, image_size: ImageSize = None, *, dtype: Any = "float32") -> keras.Model:
    """The whole trainable backbone, float32 [B, H, W, 3] in [−1, 1] → float32 [B, n_features]."""
    pixels = _pixels(image_size)
    features = _forward(arch, _TrainableLayers(dtype), pixels, arch.max_depth, {0})[0]
    return keras.Model(pixels, features, name=f"{arch.name}_backbone")


def build_export_backbone(arch: BitArchitecture, image_size: ImageSize = None) -> keras.Model:
    """`build_backbone` in float32 and Keras's own layers, kernels folded, for files that others open.

    Fill it with `assign_official`. `keras.saving.load_model` opens the saved file in safe mode without this package.
    """
    pixels = _pixels(image_size)
    features = _forward(arch, _KerasLayers("float32"), pixels, arch.max_depth, {0})[0]
    return keras.Model(pixels, features, name=f"{arch.name}_export")


def build_export_trunk(arch: BitArchitecture, image_size: ImageSize, depth: int) -> keras.Model:
    """The part of `build_export_backbone` before the boundary of a depth, which several tails may share.

    Args:
        arch: Architecture.
        image_size: As for `build_trunk`.
        depth: Unfreeze depth, below `arch.max_depth`: before the boundary of that there is nothing.
    """
    pixels = _pixels(image_size)
    boundary = _forward(arch, _KerasLayers("float32"), pixels, arch.max_depth, {depth})[depth]
    return keras.Model(pixels, boundary, name=f"{arch.name}_export_trunk")


def export_tail(arch: BitArchitecture, depth: int, boundary: Any) -> Any:
    """The part of `build_export_backbone` behind the boundary of a depth.

    Args:
        arch: Architecture.
        depth: Unfreeze depth; of 0 the boundary is the features.
        boundary: Symbolic boundary tensor.

    Returns:
        Symbolic pooled features, float32 [B, n_features].
    """
    return _forward(arch, _KerasLayers("float32"), boundary, depth, {0})[0] if depth else boundary


def official_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Official name to variable of every BiT variable in a model, in the order of the forward pass.

    Models inside the model are searched too. Kernels of folded and exported graphs hold standardised values under the
    same names.
    """
    return {name: variable for name, variable, _ in _bit_variables(model)}


def assign_official(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Set every BiT variable of a model from official (not standardised) arrays, folding where the graph is folded.

    Args:
        model: Any of this module's models, or a model that contains one.
        arrays: Official name to float32 array; names the model lacks are left out (a tail takes its part).

    Raises:
        KeyError: If an array that the model needs is absent.
        ValueError: If a shape differs.
    """
    for name, variable, is_folded in _bit_variables(model):
        array = arrays[name]
        if tuple(array.shape) != tuple(variable.shape):
            raise ValueError(f"Expected shape {tuple(variable.shape)} for {name}. Received: {array.shape}")
        variable.assign(fold_kernel(array) if is_folded else array)


def _bit_variables(model: keras.Model) -> Iterator[tuple[str, keras.Variable, bool]]:
    """Official name, variable, and whether it is a folded kernel."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _bit_variables(layer)
        elif layer.name.startswith("resnet."):
            for variable in layer.weights:
                is_folded = isinstance(layer, keras.layers.Conv2D)
                yield f"{layer.name.replace('.', '/')}/{variable.name}", variable, is_folded


def _forward(arch: BitArchitecture, layers: _TrainableLayers, x: Any, start: int, wanted: set[int]) -> dict[int, Any]:
    """Run from the boundary of depth `start` towards the features, keeping the `wanted` boundaries."""
    boundaries = {start: x}
    if start == arch.max_depth and wanted - {start}:
        x = _root(layers, x, arch.width)
        boundaries[arch.n_units] = x
    last = min(wanted, default=start)
    for depth in range(min(start, arch.n_units), last, -1):
        x = _unit(layers, x, arch.unit_sequence[arch.n_units - depth], arch.groups)
        boundaries[depth - 1] = x
    if 0 in wanted:
        boundaries[0] = _pooled(layers, x, arch.groups) if start > 0 else keras.layers.Identity(name="features")(x)
    return {depth: boundaries[depth] for depth in wanted}


def _root(layers: _TrainableLayers, x: Any, width: int) -> Any:
    x = layers.convolve(x, ROOT_CONV, width, 7, 2)
    # Zeros, not −inf: nothing has rectified x yet, so a negative border maximum becomes 0 in the official model.
    x = keras.layers.ZeroPadding2D(1, name="resnet.root_block.pad", dtype=layers.dtype)(x)
    return keras.layers.MaxPooling2D(3, 2, name="resnet.root_block.pool", dtype=layers.dtype)(x)


def _unit(layers: _TrainableLayers, x: Any, unit: Unit, groups: int) -> Any:
    prefix = unit.prefix
    h = layers.norm_relu(x, f"{prefix}/a/group_norm", groups)
    shortcut = x
    if unit.projects:
        # The projection reads the pre-activation, not the raw stream.
        shortcut = layers.convolve(h, f"{prefix}/a/proj/standardized_conv2d", unit.out_channels, 1, unit.stride)
    h = layers.convolve(h, f"{prefix}/a/standardized_conv2d", unit.width, 1)
    h = layers.norm_relu(h, f"{prefix}/b/group_norm", groups)
    h = layers.convolve(h, f"{prefix}/b/standardized_conv2d", unit.width, 3, unit.stride)
    h = layers.norm_relu(h, f"{prefix}/c/group_norm", groups)
    h = layers.convolve(h, f"{prefix}/c/standardized_conv2d", unit.out_channels, 1)
    return keras.layers.Add(name=_layer_name(f"{prefix}/add"), dtype=layers.dtype)([shortcut, h])


def _pooled(layers: _TrainableLayers, x: Any, groups: int) -> Any:
    return layers.pool(layers.norm_relu(x, FINAL_NORM, groups))


def _pixels(image_size: ImageSize) -> Any:
    sides = image_size if isinstance(image_size, tuple) else (image_size, image_size)
    return keras.Input((*sides, 3), dtype="float32", name="pixels")


def _layer_name(official: str) -> str:
    return official.replace("/", ".")
