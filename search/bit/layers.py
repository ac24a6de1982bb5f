"""The two layers that make a ResNet a BiT: the weight-standardised convolution and the group norm.

Both keep float32 masters and float32 statistics under every precision policy: weight standardisation in float16
overflows (kernels of variance 1e-10 are divided by their own spread), and a group norm's variance loses its digits.
Source: Qiao et al. 2019 (weight standardisation), Wu & He 2018 (group norm), Kolesnikov et al. 2020 (both in BiT).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np
from keras import ops

from search.bit import fused

WEIGHT_STANDARDIZATION_EPSILON = 1e-10
GROUP_NORM_EPSILON = 1e-5
_DEEP = 512
"""From so many channels on, bfloat16's gradient to a 3x3 kernel is faster as products: 17 ms in place of 39 at 7 by 7
pixels; of 256 channels at 14 by 14 it is slower."""


def standardize_kernel(kernel: Any, epsilon: float = WEIGHT_STANDARDIZATION_EPSILON) -> Any:
    """Standardise each output channel of a kernel to mean 0 and (biased) variance 1.

    The epsilon is the official TF2 code's: genuine kernels are so small that 1e-8 already moves the features by 0.3 %.

    Args:
        kernel: float32 [height, width, in, out], a tensor of any backend.
        epsilon: Added to the variance.

    Returns:
        The standardised kernel, same shape and dtype.
    """
    mean = ops.mean(kernel, axis=(0, 1, 2), keepdims=True)
    centred = kernel - mean
    variance = ops.mean(ops.square(centred), axis=(0, 1, 2), keepdims=True)
    return centred * ops.rsqrt(variance + epsilon)


def fold_kernel(kernel: np.ndarray) -> np.ndarray:
    """`standardize_kernel` for an array that will not train again, float64 inside, float32 out."""
    wide = kernel.astype(np.float64)
    centred = wide - wide.mean(axis=(0, 1, 2), keepdims=True)
    variance = np.square(centred).mean(axis=(0, 1, 2), keepdims=True)
    return (centred / np.sqrt(variance + WEIGHT_STANDARDIZATION_EPSILON)).astype(np.float32)


@keras.saving.register_keras_serializable(package="mammo_search")
class StandardizedConv2D(keras.layers.Layer):
    """A convolution without bias whose kernel is standardised on every call.

    Args:
        filters: Output channels.
        kernel_size: Side of the square kernel, odd.
        strides: Stride in rows and columns.
        padding: Zeros added on each side; BiT pads symmetrically whatever the stride, unlike TensorFlow's SAME.
        epsilon: Added to the variance of the kernel.
        **kwargs: Name, dtype policy and so on, as for every Keras layer.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: int = 0,
        epsilon: float = WEIGHT_STANDARDIZATION_EPSILON,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the float32 kernel [size, size, in, filters]."""
        self.kernel = self.add_weight(
            shape=(self.kernel_size, self.kernel_size, input_shape[-1], self.filters),
            initializer="he_normal",
            name="kernel",
            dtype="float32",
            autocast=False,
        )

    def standardized_kernel(self) -> Any:
        """The kernel that convolves, float32."""
        return standardize_kernel(self.kernel, self.epsilon)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Convolve [B, H, W, in] to [B, H', W', filters] in the layer's compute dtype."""
        if training and not _has_gpu():
            kernel = fused.standardize(self.kernel, self.epsilon, x.dtype)
            if self.kernel_size == 1:
                return _product_of_pixels(x if self.strides == 1 else x[:, :: self.strides, :: self.strides], kernel)
            is_deep = min(kernel.shape[2:]) >= _DEEP and None not in x.shape[1:3] and x.dtype == "bfloat16"
            if is_deep and (self.kernel_size, self.strides, self.padding) == (3, 1, 1):
                return fused.convolve_3x3(x, kernel)
        else:
            kernel = ops.cast(self.standardized_kernel(), x.dtype)
        if self.strides == 1 and self.padding and 2 * self.padding == self.kernel_size - 1:
            return ops.conv(x, kernel, padding="same", data_format="channels_last")
        if self.padding:
            x = ops.pad(x, ((0, 0), (self.padding, self.padding), (self.padding, self.padding), (0, 0)))
        return ops.conv(x, kernel, strides=self.strides, padding="valid", data_format="channels_last")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(B, H', W', filters); an unknown side stays unknown."""
        sides = [
            None if side is None else (side + 2 * self.padding - self.kernel_size) // self.strides + 1
            for side in input_shape[1:3]
        ]
        return (input_shape[0], *sides, self.filters)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {key: getattr(self, key) for key in ("filters", "kernel_size", "strides", "padding", "epsilon")}
        return {**super().get_config(), **own}


def _product_of_pixels(x: Any, kernel: Any) -> Any:
    """A 1x1 convolution as one matrix product.

    On a CPU its gradients are faster than the convolution's, to the kernel 3 times in bfloat16; forward it is not.
    """
    entering, leaving = kernel.shape[-2:]
    products = ops.matmul(ops.reshape(x, (1, -1, entering)), ops.reshape(kernel, (1, entering, leaving)))
    return ops.reshape(products, (-1, *ops.shape(x)[1:3], leaving))


@cache
def _has_gpu() -> bool:
    return bool(keras.distribution.list_devices("gpu"))


def _mean_over_pixels(x: Any) -> Any:
    """Mean over rows and columns, [B, H, W, C] to [B, 1, 1, C].

    On a CPU a product with a row of 1/n reads the image at the memory's speed, which the reduction does not: a tenth of
    the whole forward pass. Not on a GPU, where a product may run in TF32 and round the statistics to ten bits.
    """
    rows, columns, channels = x.shape[1:]
    if rows is None or columns is None or _has_gpu():
        return ops.mean(x, axis=(1, 2), keepdims=True)
    n = rows * columns
    sums = ops.matmul(ops.full((1, 1, n), 1 / n, dtype=x.dtype), ops.reshape(x, (-1, n, channels)))
    return ops.reshape(sums, (-1, 1, 1, channels))


@keras.saving.register_keras_serializable(package="mammo_search")
class PixelMean(keras.layers.GlobalAveragePooling2D):
    """Keras's pooling, its gradient one pass over the image instead of three."""

    def call(self, inputs: Any) -> Any:
        """Average [B, H, W, C] to [B, C]."""
        return ops.squeeze(_mean_over_pixels(inputs), (1, 2))


@keras.saving.register_keras_serializable(package="mammo_search")
class ChannelMomentsGroupNorm(keras.layers.Layer):
    """Group norm and ReLU as per-channel moments and one scale-and-shift.

    A group's mean and variance follow from the moments of its channels, so the image is never reshaped into groups and
    is read once for the moments and once for `relu(x * scale + shift)`; Keras's own layer passes over it more often.

    Args:
        groups: Groups of contiguous channels.
        epsilon: Added to a group's variance.
        **kwargs: Name, dtype policy and so on, as for every Keras layer.
    """

    def __init__(self, groups: int, epsilon: float = GROUP_NORM_EPSILON, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = groups
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create gamma and beta, float32 [channels]."""
        channels = input_shape[-1]
        if channels is None or channels % self.groups:
            raise ValueError(f"Expected channels that {self.groups} groups divide. Received: input_shape={input_shape}")
        self.gamma = self._channel_weight("gamma", channels, "ones")
        self.beta = self._channel_weight("beta", channels, "zeros")

    def _channel_weight(self, name: str, channels: int, initializer: str) -> keras.Variable:
        return self.add_weight(shape=(channels,), initializer=initializer, name=name, dtype="float32", autocast=False)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Normalise, scale, shift and rectify [B, H, W, C]; statistics in float32, result in the compute dtype."""
        if training and None not in x.shape and not _has_gpu():
            return fused.norm_relu(x, self.gamma, self.beta, self.groups, self.epsilon)
        wide = ops.cast(x, "float32")
        mean = _mean_over_pixels(wide)
        # Around each channel's own mean: E[x²] − E[x]² cancels where a residual stream sits far from zero.
        variance = _mean_over_pixels(ops.square(wide - mean))
        scale, shift = self._scale_and_shift(mean, variance)
        # In float32 too: x * scale and shift cancel where the mean is large beside the spread. bfloat16 here made the
        # features' deviation 0.032 instead of 0.023, and was no faster.
        return ops.cast(ops.relu(wide * scale + shift), x.dtype)

    def _scale_and_shift(self, mean: Any, variance: Any) -> tuple[Any, Any]:
        """Channel moments [B, 1, 1, C] to the scale and shift of the whole norm, same shape."""
        channels = mean.shape[-1]
        grouped = (-1, self.groups, channels // self.groups)
        mean_in_group = ops.reshape(mean, grouped)
        group_mean = ops.mean(mean_in_group, axis=-1, keepdims=True)
        # Law of total variance: within the channels plus between them.
        group_variance = ops.mean(
            ops.reshape(variance, grouped) + ops.square(mean_in_group - group_mean), axis=-1, keepdims=True
        )
        scale = ops.rsqrt(group_variance + self.epsilon) * ops.reshape(self.gamma, grouped)
        shift = ops.reshape(self.beta, grouped) - group_mean * scale
        per_image = (-1, 1, 1, channels)
        return ops.reshape(scale, per_image), ops.reshape(shift, per_image)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "groups": self.groups, "epsilon": self.epsilon}
