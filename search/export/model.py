"""bit_mammography_final.keras: the whole network, from prepared pixels to class probabilities, of Keras's own layers.

Input: prepared images, float32 [batch, size, size, 1] in 0 … 255 (as the prepared set stores them, uint8).
Output: probabilities, float32 [batch, classes], in the order of the class names.

Weight standardisation is folded into the kernels, so that the file opens in safe mode with
``keras.saving.load_model`` where this package is not installed. It holds no optimizer.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from search.bit.architecture import BitArchitecture
from search.bit.backbone import assign_official, build_export_backbone
from search.bit.weights import BitWeights
from search.files.atomic import replacing
from search.model_safety import require_plain_model
from search.trials.head import plain_head
from search.trials.tail import TrainedTail

_BATCH = 32


def assemble_model(
    architecture: BitArchitecture,
    weights: BitWeights,
    tail: TrainedTail,
    *,
    image_size: int,
    head_width: int,
    n_classes: int,
) -> keras.Model:
    """Join the frozen and the trained parts in one inference model.

    Args:
        architecture: The backbone's.
        weights: Pretrained weights, for what was frozen.
        tail: The trained part.
        image_size: Side of the prepared images in pixels.
        head_width: Units of the head's hidden layer.
        n_classes: Number of classes.
    """
    image = keras.Input((image_size, image_size, 1), name="image")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="to_unit_range")(image)
    pixels = keras.layers.Concatenate(name="grey_to_rgb")([scaled, scaled, scaled])
    features = build_export_backbone(architecture, image_size)(pixels)
    logits = plain_head(features, width=head_width, n_classes=n_classes)
    probabilities = keras.layers.Softmax(name="probabilities")(logits)
    model = keras.Model(image, probabilities, name="bit_mammography_final")
    assign_official(model, {**weights.arrays, **tail.backbone})
    for name, values in tail.head.items():
        model.get_layer(name).set_weights(values)
    return model


def save_model(model: keras.Model, path: Path) -> None:
    """Write the .keras file, whole or not at all."""
    with replacing(path) as temporary:
        model.save(temporary)


def load_exported(path: Path) -> keras.Model:
    """Open a .keras file in safe mode: nothing in it can run code.

    Raises:
        RunError: If it is missing, damaged, or not made of plain Keras layers.
    """
    require_plain_model(path)
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def predict_images(model: keras.Model, images: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Class probabilities of prepared images.

    Args:
        model: The exported model.
        images: Prepared set, uint8 [n, size, size].
        rows: Which of them.

    Returns:
        float64 [len(rows), classes], rows sum to 1.
    """
    batches = [
        model.predict_on_batch(images[rows[start : start + _BATCH]][..., None].astype(np.float32))
        for start in range(0, len(rows), _BATCH)
    ]
    probabilities = np.concatenate(batches).astype(np.float64)
    return probabilities / probabilities.sum(axis=1, keepdims=True)
