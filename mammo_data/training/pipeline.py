"""The tf.data pipeline over a prepared set: batches of pixels, decoded once, augmented for training only.

Pixels come out as BiT takes them: float32 [B, S, S, 3] in [-1, 1], grey in all three channels.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mammo_data.preparation.settings import AugmentationSettings
from mammo_data.training.augmentation import augment, augmented_view
from mammo_data.training.sampling import epoch_rows

_SAMPLING = 0
_AUGMENTATION = 1


def view_dataset(
    images: NDArray[np.uint8],
    rows: Sequence[int] | NDArray[np.int64],
    views: Sequence[int] | NDArray[np.int64],
    image_ids: Sequence[str],
    *,
    batch_size: int,
    seed: int,
    augmentation: AugmentationSettings,
    source: Callable[[int, int], NDArray[np.uint8]] | None = None,
) -> tf.data.Dataset:
    """The named views of the named images, in order: what a boundary bank is computed from.

    Args:
        images: uint8 [n, S, S].
        rows: Rows of ``images``, [m].
        views: The view of each, [m]; 0 is the image itself.
        image_ids: Names of all n images.
        batch_size: Images a batch; the last batch may be short.
        seed: The bank's seed; see `augmented_view`.
        augmentation: The ranges.
        source: From (row, view) to what an augmented view starts from, uint8 [S, S]; the image itself by default. See
            `PreparedSet.training_image`.

    Returns:
        Dataset of float32 [B, S, S, 3] in [-1, 1].
    """
    row_array, view_array = np.asarray(rows, np.int64), np.asarray(views, np.int64)
    if row_array.shape != view_array.shape or row_array.ndim != 1:
        raise ValueError(f"rows and views must be equally long; received {row_array.shape} and {view_array.shape}")
    side = images.shape[1]

    def pixels_of(row: int, view: int) -> NDArray[np.uint8]:
        image = images[row] if source is None or view == 0 else source(row, view)
        return augmented_view(image, image_ids[row], view, seed=seed, settings=augmentation)

    def batch(rows: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.stack([pixels_of(int(row), int(view)) for row, view in zip(rows, views, strict=True)])

    def load(rows: tf.Tensor, views: tf.Tensor) -> tf.Tensor:
        pixels = tf.numpy_function(batch, [rows, views], tf.uint8, stateful=False)
        return _to_network(tf.ensure_shape(pixels, (None, side, side)))

    return _loaded(tf.data.Dataset.from_tensor_slices((row_array, view_array)).batch(batch_size), load)


def training_dataset(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    image_ids: Sequence[str],
    *,
    batch_size: int,
    steps: int,
    seed: int,
    augmentation: AugmentationSettings,
    minority: str = "balanced",
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """Augmented, sampled training batches; each pass over the dataset is one epoch, and the next one is another.

    Epoch e is a function of (seed, e) and the arguments alone, so a run that resumes at e sees what it would have seen.

    Args:
        images: uint8 [n, S, S], training images only.
        labels: Class index of each, int64 [n].
        image_ids: Name of each; augmentation depends on it, not on the row.
        batch_size: Images a batch; all batches are whole.
        steps: Batches an epoch.
        seed: Of sampling and augmentation.
        augmentation: The ranges.
        minority: How to draw, see `epoch_rows`.
        first_epoch: Number of the first pass.

    Returns:
        Dataset of (float32 [B, S, S, 3] in [-1, 1], int32 [B]).
    """
    if not len(images) == len(labels) == len(image_ids):
        raise ValueError(f"received {len(images)} images, {len(labels)} labels and {len(image_ids)} names")
    side = images.shape[1]
    label_array = np.asarray(labels, np.int64)
    epochs = itertools.count(first_epoch)

    def draws() -> Iterator[tuple[int, int, NDArray[np.int64]]]:
        epoch = next(epochs)
        rng = np.random.default_rng((seed, epoch, _SAMPLING))
        rows = epoch_rows(label_array, draws=batch_size * steps, rng=rng, minority=minority)
        for step in range(steps):
            yield epoch, step, rows[step * batch_size : (step + 1) * batch_size]

    def batch(epoch: np.int64, step: np.int64, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        drawn = []
        for position, row in enumerate(rows):
            name = zlib.crc32(image_ids[row].encode())
            rng = np.random.default_rng((seed, int(epoch), _AUGMENTATION, int(step), position, name))
            drawn.append(augment(images[row], augmentation, rng))
        return np.stack(drawn)

    def load(epoch: tf.Tensor, step: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.numpy_function(batch, [epoch, step, rows], tf.uint8, stateful=False)
        drawn = tf.cast(tf.gather(tf.constant(label_array), rows), tf.int32)
        return _to_network(tf.ensure_shape(pixels, (batch_size, side, side))), drawn

    signature = tuple(tf.TensorSpec(shape, tf.int64) for shape in ((), (), (batch_size,)))
    dataset = tf.data.Dataset.from_generator(draws, output_signature=signature)
    return _loaded(dataset.apply(tf.data.experimental.assert_cardinality(steps)), load)


def evaluation_dataset(images: NDArray[np.uint8], labels: NDArray[np.int64], *, batch_size: int) -> tf.data.Dataset:
    """The images as they are, once, in order; the last batch may be short.

    Args:
        images: uint8 [n, S, S].
        labels: Class index of each, int64 [n].
        batch_size: Images a batch.

    Returns:
        Dataset of (float32 [B, S, S, 3] in [-1, 1], int32 [B]).
    """
    if len(images) != len(labels):
        raise ValueError(f"received {len(images)} images and {len(labels)} labels")
    n = len(images)
    pixels = view_dataset(
        images, range(n), [0] * n, [""] * n, batch_size=batch_size, seed=0, augmentation=AugmentationSettings()
    )
    classes = tf.data.Dataset.from_tensor_slices(np.asarray(labels, np.int32)).batch(batch_size)
    return tf.data.Dataset.zip((pixels, classes))


def _loaded(dataset: tf.data.Dataset, load: Callable[..., Any]) -> tf.data.Dataset:
    """The data set with ``load`` done to each batch, in parallel and in order."""
    return dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _to_network(pixels: tf.Tensor) -> tf.Tensor:
    """uint8 [B, S, S] to float32 [B, S, S, 3] in [-1, 1]."""
    scaled = tf.cast(pixels, tf.float32) / 127.5 - 1.0
    return tf.repeat(scaled[..., tf.newaxis], 3, axis=-1)
