"""The exported model: the whole network, from prepared pixels to class probabilities, of Keras's own layers.

Input: prepared images, float32 [batch, size, size, 1] in 0 … 255 (as the prepared set stores them, uint8).
Output: probabilities, float32 [batch, classes], in the order of the class names.

Weight standardisation is folded into the kernels, so that the file opens in safe mode with
``keras.saving.load_model`` where this package is not installed. It holds no optimizer.

The same weights give the same bytes of the file: Keras writes into it when it was saved, and where in the memory shared
objects lay, and both are taken out again.

For many images Keras's group norms are replaced by this package's, which read the image less often. Measured on R50x1
at 224 pixels, batches of 8, two cores: trunk 19.5 images/s, the file as it is 15.4, replaced 18.6. They are also more
exact: their means are products with a row of 1/n, whose rounding errors do not grow with the number of pixels, while
Keras's reduction differs by up to 1e-4 of a standard deviation between batches of one and of sixteen.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from search.bit import BitArchitecture, BitWeights, ChannelMomentsGroupNorm, assign_official, build_export_backbone
from search.errors import RunError
from search.export.metadata import ModelFile
from search.export.wall import refused, require_plain_model
from search.files.atomic import replacing
from search.trials.head import plain_head
from search.trials.tail import TrainedTail

BATCH = 8
"""Images a batch. On a CPU the network is fastest there: what a layer hands to the next one stays in the cache."""

_HELD_OUT_BATCH = 32
_SHARED = "shared_object_id"
_NO_DATE = "1980-01-01@00:00:00"  # as zip files have it


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
    image, pixels = prepared_input(image_size)
    features = build_export_backbone(architecture, image_size)(pixels)
    logits = plain_head(features, width=head_width, n_classes=n_classes)
    probabilities = keras.layers.Softmax(name="probabilities")(logits)
    model = keras.Model(image, probabilities, name="bit_mammography_final")
    assign_official(model, {**weights.arrays, **tail.backbone})
    for name, values in tail.head.items():
        model.get_layer(name).set_weights(values)
    return model


def prepared_input(image_size: int) -> tuple[Any, Any]:
    """Where an exported network begins: symbolic prepared images, and of them the pixels that the backbone takes."""
    image = keras.Input((image_size, image_size, 1), name="image")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="to_unit_range")(image)
    return image, keras.layers.Concatenate(name="grey_to_rgb")([scaled, scaled, scaled])


def save_model(model: keras.Model, path: Path) -> None:
    """Write the .keras file, whole or not at all; of the same weights it has the same bytes."""
    with replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        content["config.json"] = _without_addresses(content["config.json"])
        content["metadata.json"] = json.dumps(json.loads(content["metadata.json"]) | {"date_saved": _NO_DATE}).encode()
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, member in content.items():
                archive.writestr(zipfile.ZipInfo(name), member)


def _without_addresses(config: bytes) -> bytes:
    """Keras's configuration without the addresses that it calls shared objects by: equal data types, nothing else."""
    return json.dumps(
        json.loads(config, object_hook=lambda part: {k: v for k, v in part.items() if k != _SHARED})
    ).encode()


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
    batches = []
    for start in range(0, len(rows), _HELD_OUT_BATCH):
        part = images[rows[start : start + _HELD_OUT_BATCH]]
        batches.append(model.predict_on_batch(_pixels(part, _HELD_OUT_BATCH))[: len(part)])
    probabilities = np.concatenate(batches).astype(np.float64)
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def _pixels(images: NDArray[np.uint8], batch: int) -> NDArray[np.float32]:
    """Images as the model takes them, filled up to a whole batch: always of one shape, the graph is traced once."""
    pixels = np.zeros((batch, *images.shape[1:], 1), np.float32)
    pixels[: len(images), ..., 0] = images
    return pixels


def with_fast_norms(model: keras.Model) -> keras.Model:
    """The same function of the same weights, with faster group norms where the file has one with a ReLU after it.

    Args:
        model: An exported model; it is left as it is.
    """

    def replaced(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, keras.Model):
            return with_fast_norms(layer)
        config: dict[str, Any] = layer.get_config()
        if isinstance(layer, keras.layers.GroupNormalization) and _is_rectified(layer):
            return ChannelMomentsGroupNorm(layer.groups, layer.epsilon, name=layer.name, dtype=layer.dtype_policy)
        return layer.__class__.from_config(config)

    clone = keras.models.clone_model(model, clone_function=replaced)
    clone.set_weights(model.get_weights())
    return clone


def member_outputs(model: keras.Model) -> list[Any]:
    """The symbolic probabilities of each member of a mean (`search.export.members`), in order; none of one model."""
    last = model.layers[-1]
    return list(last.input) if isinstance(last, keras.layers.Average) else []


def _is_rectified(layer: keras.Layer) -> bool:
    """Whether only ReLUs read a layer's output: the replacement has the ReLU in it, and a second one is harmless."""
    readers = [node.operation for node in layer._outbound_nodes]
    return bool(readers) and all(isinstance(reader, keras.layers.ReLU) for reader in readers)


class ExportedModel:
    """An exported model that has been opened.

    Args:
        file: The model.

    Attributes:
        metadata: What is known of it.
        keras_model: The same function as the file's, with faster group norms.

    Raises:
        RunError: If the file is no Keras model, or not of the shape or the number of members that its metadata say.
    """

    def __init__(self, file: ModelFile) -> None:
        self.metadata = file.metadata
        size, classes = self.metadata.image_size, len(self.metadata.class_names)
        try:
            model = load_exported(file.path)
            members = member_outputs(model)
        except RunError:
            raise
        except Exception as error:  # noqa: BLE001  # Keras raises whatever the damaged part makes it stumble over
            raise refused(file.path, " ".join(f"{type(error).__name__}: {error}".split())[:200]) from None
        if model.input_shape != (None, size, size, 1) or model.output_shape != (None, classes):
            raise refused(file.path, f"a model from {model.input_shape} to {model.output_shape}")
        named = 0 if self.metadata.members is None else self.metadata.members.count
        if len(members) != named or any(each.shape != (None, classes) for each in members):
            raise refused(file.path, f"a mean of {len(members)} models where {named} are named beside it")
        self.keras_model: keras.Model = with_fast_norms(model)
        outputs = [self.keras_model.output, *member_outputs(self.keras_model)]
        self._said = keras.Model(self.keras_model.input, outputs) if members else self.keras_model

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The model's own probabilities, not yet calibrated.

        Args:
            images: Prepared images, uint8 [n, size, size].

        Returns:
            float64 [n, classes], rows sum to 1.
        """
        return self.with_members(images)[0]

    def with_members(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`probabilities`, and those of each member, in one pass over the images.

        Returns:
            float64 [n, classes] and [members, n, classes], rows sum to 1; a single model has no members.
        """
        batches = [self._batch(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        found = np.concatenate(batches, axis=1).astype(np.float64)
        found /= found.sum(axis=-1, keepdims=True)
        return found[0], found[1:]

    def _batch(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        said = self._said.predict_on_batch(_pixels(images, BATCH))
        return np.stack(said if isinstance(said, list) else [said])[:, : len(images)]
