"""The model that a user names: a run, or a .keras file with its metadata beside it, ready to predict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.errors import RunError
from search.export.export import run_model_metadata
from search.export.metadata import ModelMetadata, read_metadata
from search.run_folder.directory import RunDirectory
from search.run_folder.lookup import find_run

if TYPE_CHECKING:
    import keras

BATCH = 8
"""Images a batch. On a CPU the network is fastest there: what a layer hands to the next one stays in the cache."""


@dataclass(frozen=True)
class ModelFile:
    """A model and what is known of it.

    Attributes:
        path: The .keras file.
        metadata: From the JSON file beside it, or of its run.
        run: The run's folder, None for a file that has left it.
    """

    path: Path
    metadata: ModelMetadata
    run: RunDirectory | None


def find_model(name: str) -> ModelFile:
    """The model that a user named.

    Args:
        name: A .keras file, or a run as `find_run` understands it.

    Raises:
        RunError: If there is no such model, it has changed, or nothing is known about it.
    """
    path = Path(name)
    if path.suffix != ".keras":
        if (path.is_file() and path.name != "run.json") or (path / "saved_model.pb").is_file():
            raise RunError(
                expected="a run or a .keras file", found=str(path), remedy="Name the run, or its .keras file."
            )
        run = find_run(name)
        return ModelFile(run.model_file, run_model_metadata(run), run)
    if not path.is_file():
        raise RunError(
            expected="a .keras file or a run", found=f"nothing at {path}", remedy="Check the path of the model."
        )
    home = RunDirectory(path.resolve().parent.parent)
    is_at_home = home.manifest_file.is_file() and home.model_file.name == path.name
    return ModelFile(path, read_metadata(path), home if is_at_home else None)


class ExportedModel:
    """An exported model that has been opened.

    Args:
        file: The model.

    Attributes:
        metadata: What is known of it.
        keras_model: The same function as the file's, with faster group norms.

    Raises:
        RunError: If the file is no Keras model, or not of the shape that its metadata say.
    """

    def __init__(self, file: ModelFile) -> None:
        from search.export.model import load_exported, with_fast_norms

        self.metadata = file.metadata
        size, classes = self.metadata.image_size, len(self.metadata.class_names)
        try:
            model = load_exported(file.path)
        except RunError:
            raise
        except Exception as error:  # noqa: BLE001  # Keras raises whatever the damaged part makes it stumble over
            raise _not_a_model(file.path, f"{type(error).__name__}: {error}") from None
        if model.input_shape != (None, size, size, 1) or model.output_shape != (None, classes):
            raise _not_a_model(file.path, f"a model from {model.input_shape} to {model.output_shape}")
        self.keras_model: keras.Model = with_fast_norms(model)

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The model's own probabilities, not yet calibrated.

        Args:
            images: Prepared images, uint8 [n, size, size].

        Returns:
            float64 [n, classes], rows sum to 1.
        """
        batches = [self._batch(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        found = np.concatenate(batches).astype(np.float64)
        return found / found.sum(axis=1, keepdims=True)

    def _batch(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        # Always of one shape, so that the graph is traced once.
        pixels = np.zeros((BATCH, *images.shape[1:], 1), np.float32)
        pixels[: len(images), ..., 0] = images
        return np.asarray(self.keras_model.predict_on_batch(pixels))[: len(images)]


def _not_a_model(path: Path, found: str) -> RunError:
    return RunError(
        expected=f"{path} to be a model that this program exported",
        found=" ".join(found.split())[:200],
        remedy="Export it again: mammo-search export RUN.",
    )
