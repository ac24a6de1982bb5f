"""Films to probabilities: prepared by threads while the network works on those before.

Each film is prepared exactly as in training, by the settings in the model's metadata; what can't be a film of a breast
is an error in its row, and the others go on.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mammo_data import DataError, ImageFile, PreparationSettings, read_film, standardise
from search.export.model import BATCH, ExportedModel
from search.predict.disagreement import disagreement

_AHEAD = 4 * BATCH
"""Films that are prepared and wait; a bound on memory, whatever the number of films."""

_BYTES_AHEAD = 64 * 2**20
"""Encoded bytes of films that wait to be prepared, before no further one is read; a film may have 90 MB."""


@dataclass(frozen=True)
class PredictedImage:
    """One row of the answer.

    Attributes:
        name: The image's.
        probabilities: Calibrated, by class name; None where there was an error.
        uncalibrated: The model's own.
        decisions: For each operating point of the metadata whether the image is positive there.
        spread: Smallest and largest calibrated probability of the worst class among the members of a mean; None for a
            single model.
        note: Which of its answers seem to contradict each other, and why they can; None where none do.
        error: One line, or None.
        prepared: What the model was given, uint8 [size, size]; None where there was an error.
        overlay: Path of the overlay, where one was written.
    """

    name: str
    probabilities: dict[str, float] | None = None
    uncalibrated: dict[str, float] | None = None
    decisions: tuple[bool, ...] = ()
    spread: tuple[float, float] | None = None
    note: str | None = None
    error: str | None = None
    prepared: NDArray[np.uint8] | None = None
    overlay: str | None = None

    @property
    def predicted(self) -> str | None:
        """The most probable class, the less severe one where two are equal."""
        return None if self.probabilities is None else max(self.probabilities, key=self.probabilities.__getitem__)


def predict_files(model: ExportedModel, files: Iterable[ImageFile]) -> Iterator[list[PredictedImage]]:
    """Predict images in their order.

    Args:
        model: Opened; of whole images.
        files: Encoded images; they are read in a thread.

    Yields:
        The rows of a batch, one an image, those of failed images among them.
    """
    rows: list[tuple[str, NDArray[np.uint8] | DataError]] = []
    with closing(_prepared(files, model.metadata.preparation)) as prepared:
        for name, image in prepared:
            rows.append((name, image))
            if sum(not isinstance(image, DataError) for _, image in rows) == BATCH:
                yield _predicted(model, rows)
                rows = []
    if rows:
        yield _predicted(model, rows)


def prepare_film(data: bytes, name: str, settings: PreparationSettings) -> NDArray[np.uint8]:
    """Decode one film, look whether it can be one, and bring it to the canvas.

    Returns:
        uint8 [size, size].

    Raises:
        DataError: The bytes are no image, or it is no film.
    """
    film, breast = read_film(data, name)
    return standardise(film, (), settings, breast)[0]


def _predicted(model: ExportedModel, rows: list[tuple[str, NDArray[np.uint8] | DataError]]) -> list[PredictedImage]:
    images = [image for _, image in rows if not isinstance(image, DataError)]
    nothing = np.empty((0, 0))
    own, members = model.with_members(np.stack(images)) if images else (nothing, nothing)
    calibrated = model.metadata.calibrated(own) if images else own
    # On the printed scale: beside a calibrated probability those of the members' own would say nothing.
    worst = [model.metadata.calibrated(each)[:, -1] for each in members]
    spreads = zip(np.min(worst, axis=0).tolist(), np.max(worst, axis=0).tolist(), strict=True) if worst else None
    names, thresholds = model.metadata.class_names, model.metadata.thresholds
    answers = iter(zip(calibrated.tolist(), own.tolist(), strict=True))
    found = []
    for name, image in rows:
        if isinstance(image, DataError):
            found.append(PredictedImage(name, error=str(image)))
            continue
        corrected, plain = next(answers)
        probabilities, uncalibrated = (dict(zip(names, values, strict=True)) for values in (corrected, plain))
        decisions = tuple(threshold.is_positive(probabilities) for threshold in thresholds)
        spread = next(spreads) if spreads is not None else None
        answer = PredictedImage(name, probabilities, uncalibrated, decisions, spread, prepared=image)
        found.append(replace(answer, note=disagreement(str(answer.predicted), thresholds, decisions)))
    return found


def _prepared(
    files: Iterable[ImageFile], settings: PreparationSettings
) -> Generator[tuple[str, NDArray[np.uint8] | DataError], None, None]:
    """Films prepared in threads (OpenCV and numpy release the GIL), a bounded number ahead of whoever reads them.

    Args:
        files: Read in one thread, as an archive has to be.
        settings: How they are prepared.

    Yields:
        Name and image, or why there is none, in the order of the films.
    """
    waiting = iter(files)
    ahead_bytes, changed = 0, threading.Condition()

    def take(size: int) -> None:
        nonlocal ahead_bytes
        with changed:
            ahead_bytes += size
            changed.notify()

    def prepared(file: ImageFile) -> NDArray[np.uint8] | DataError:
        if isinstance(file.data, DataError):
            return file.data
        try:
            return prepare_film(file.data, file.name, settings)
        except DataError as error:
            return error
        finally:
            take(-len(file.data))

    def next_film() -> tuple[str, Future[NDArray[np.uint8] | DataError]] | None:
        with changed:
            changed.wait_for(lambda: ahead_bytes <= _BYTES_AHEAD)
        file = next(waiting, None)
        if file is None:
            return None
        if not isinstance(file.data, DataError):
            take(len(file.data))
        return file.name, workers.submit(prepared, file)

    reader = ThreadPoolExecutor(1, thread_name_prefix="images")
    workers = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="films")
    try:
        ahead = deque(reader.submit(next_film) for _ in range(_AHEAD))
        while (film := ahead.popleft().result()) is not None:
            ahead.append(reader.submit(next_film))
            yield film[0], film[1].result()
    finally:
        reader.shutdown(cancel_futures=True)
        workers.shutdown(cancel_futures=True)
