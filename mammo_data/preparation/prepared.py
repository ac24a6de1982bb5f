"""The prepared set: all films on equal canvases, once on disk, memory-mapped by everyone after.

A set lies in ``prepared-FINGERPRINT/`` under the cache folder: ``images.npy`` (uint8 [n, S, S]) and ``manifest.json``
with the keys format, fingerprint, settings, class_names, cases (the table, findings in canvas pixels), images_crc32c
(CRC-32C of the pixels, 8 hex digits) and sha256 (of all other keys as JSON with sorted keys). The fingerprint covers
the source's bytes, the settings, this format and OpenCV's version, so whatever changes a pixel changes the folder.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import tokenize
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import cv2
import google_crc32c
import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import Case, CaseTable, Finding
from mammo_data.errors import MISREAD, DataError
from mammo_data.files import folder_to_fill, sha256_of, sync, write_whole
from mammo_data.locks import Lock
from mammo_data.preparation.film_check import read_film
from mammo_data.preparation.settings import PreparationSettings
from mammo_data.preparation.standardise import standardise
from mammo_data.sources.base import ImageSource, work_on_films
from mammo_data.sources.open import load_cases

FORMAT = 6
"""Raise it with every change to the code that changes a pixel or the manifest's keys."""


@dataclass(frozen=True)
class PreparedSet:
    """All films of a source, standardised.

    Attributes:
        directory: Where it lies.
        images: uint8 [n, S, S], read-only memory map, chest wall at the left, black padding.
        table: The cases in the order of ``images``, findings in canvas pixels; one that can't be located has no place.
        settings: How it was made.
        fingerprint: SHA-256 (hex) of everything it depends on.
        films_fingerprint: SHA-256 (hex) of the films alone, however they are prepared; "" where nobody has told.
    """

    directory: Path
    images: NDArray[np.uint8]
    table: CaseTable
    settings: PreparationSettings
    fingerprint: str
    films_fingerprint: str = field(default="", kw_only=True)

    @property
    def unlocatable(self) -> tuple[str, ...]:
        """Ids of the images with a finding that has no place on the breast; six in MIAS."""
        return tuple(case.image_id for case in self.table.cases if any(finding.x is None for finding in case.findings))

    def training_image(self, row: int, view: int) -> NDArray[np.uint8]:
        """What an augmented view of a training image starts from: here, for every view, the image itself."""
        return np.asarray(self.images[row])

    @classmethod
    def load(cls, directory: Path) -> PreparedSet:
        """Open a set on disk.

        Raises:
            DataError: The folder holds no complete set of this format, or one that was damaged since.
        """
        try:
            manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
            if manifest["format"] != FORMAT:
                raise _not_a_set(directory, f"format {manifest['format']}")
            if manifest.pop("sha256") != sha256_of(manifest):
                raise _not_a_set(directory, "a damaged manifest.json")
            settings = PreparationSettings(**manifest["settings"])
            cases = tuple(
                Case(**case | {"findings": tuple(Finding(**finding) for finding in case["findings"])})
                for case in manifest["cases"]
            )
            table = CaseTable(cases, tuple(manifest["class_names"]))
            images = np.load(directory / "images.npy", mmap_mode="r", allow_pickle=False)
            fingerprint = str(manifest["fingerprint"])
        except (*MISREAD, tokenize.TokenError) as error:
            raise _not_a_set(directory, f"{type(error).__name__} {error}") from error
        shape = (len(table), settings.image_size, settings.image_size)
        if images.shape != shape or images.dtype != np.uint8:
            raise _not_a_set(directory, f"{images.dtype} {images.shape} instead of uint8 {shape}")
        if _crc32c(images) != manifest["images_crc32c"]:
            raise _not_a_set(directory, "damaged pixels")
        return cls(directory, images, table, settings, fingerprint)


def prepare(
    source: ImageSource,
    settings: PreparationSettings,
    cache_directory: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PreparedSet:
    """The prepared set of a source: opened where it is on disk, else made.

    Films are worked on by threads, a few at a time (`work_on_films`), so memory does not grow with their number. Of
    several processes that ask for the same set at once, one makes it.

    Args:
        source: The films.
        settings: What to make of them.
        cache_directory: Where prepared sets are kept.
        workers: Threads; as many as there are cores by default.
        progress: Called with (films done, films in all), from the calling thread; not called for a set on disk.

    Raises:
        DataError: Films, each in a line, or the truth table can't be used; nothing is left behind then.
    """
    fingerprint = sha256_of([FORMAT, cv2.__version__, source.fingerprint, asdict(settings)])
    kept = _kept_or_made(source, settings, fingerprint, cache_directory, workers, progress)
    return replace(kept, films_fingerprint=source.films_fingerprint)


def _kept_or_made(
    source: ImageSource,
    settings: PreparationSettings,
    fingerprint: str,
    cache_directory: Path,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> PreparedSet:
    directory = cache_directory / f"prepared-{fingerprint[:16]}"
    # Nothing there, or damaged: either way it is made now.
    with suppress(DataError):
        if (kept := PreparedSet.load(directory)).fingerprint == fingerprint:
            return kept
    table = load_cases(source)
    cache_directory.mkdir(parents=True, exist_ok=True)
    with Lock(directory.with_name(f".{directory.name}.lock"), "prepares the same films"):
        with suppress(DataError):
            if (kept := PreparedSet.load(directory)).fingerprint == fingerprint:
                return kept
        return _make(source, table, settings, fingerprint, directory, workers, progress)


def _make(
    source: ImageSource,
    table: CaseTable,
    settings: PreparationSettings,
    fingerprint: str,
    directory: Path,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> PreparedSet:
    with folder_to_fill(directory.parent) as building:
        cases, checksum = _write_images(source, table, settings, building / "images.npy", workers, progress)
        manifest = {
            "format": FORMAT,
            "fingerprint": fingerprint,
            "settings": asdict(settings),
            "class_names": list(table.class_names),
            "cases": [asdict(case) for case in cases],
            "images_crc32c": checksum,
        }
        manifest["sha256"] = sha256_of(manifest)
        write_whole(building / "manifest.json", json.dumps(manifest).encode())
        _publish(building, directory)
    return PreparedSet.load(directory)


def _write_images(
    source: ImageSource,
    table: CaseTable,
    settings: PreparationSettings,
    path: Path,
    workers: int | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[Case], str]:
    rows = {image_id: row for row, image_id in enumerate(table.image_ids)}
    cases: list[Case] = list(table.cases)
    shape = (len(table), settings.image_size, settings.image_size)
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    _claim_blocks(path)
    frames: dict[tuple[int, ...], str] = {}
    refused: dict[int, DataError] = {}

    def work(image_id: str, data: bytes) -> None:
        row = rows[image_id]
        case = table.cases[row]
        try:
            film, breast = read_film(data, case.image_id)
        except DataError as error:
            refused[row] = error
            return
        frames.setdefault(film.shape, case.image_id)
        images[row], findings = standardise(film, case.findings, settings, breast)
        cases[row] = replace(case, findings=findings)

    work_on_films(source, work, workers=workers, progress=progress)
    if refused:
        raise DataError.of_all([refused[row] for row in sorted(refused)])
    if source.case_table is None:
        _require_one_frame(frames, source.location)
    images.flush()
    sync(path)
    return cases, _crc32c(images)


def _claim_blocks(path: Path) -> None:
    # A memory map is a sparse file: where its blocks are missing when the disk is full, writing ends the process.
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _crc32c(images: NDArray[np.uint8]) -> str:
    total = functools.reduce(lambda total, image: google_crc32c.extend(total, image.tobytes()), images, 0)
    return f"{total:08x}"


def _require_one_frame(frames: dict[tuple[int, ...], str], location: str) -> None:
    # Info.txt's y counts from the bottom of a frame that it does not name: one frame must hold for all.
    if len(frames) > 1:
        found = ", ".join(f"{shape[1]} × {shape[0]} ({image_id})" for shape, image_id in sorted(frames.items()))
        raise DataError(
            expected="films of one size",
            found=f"{found} in {location}",
            remedy="Use the original films, not resized or cropped copies.",
        )


def _publish(building: Path, directory: Path) -> None:
    """Move a finished set to its name; of two processes that made the same one, the first wins."""
    sync(building)
    try:
        building.rename(directory)
    except OSError:
        try:
            PreparedSet.load(directory)
        except DataError:
            shutil.rmtree(directory)
            building.rename(directory)
    sync(directory.parent)


def _not_a_set(directory: Path, found: str) -> DataError:
    return DataError(
        expected=f"a prepared set of format {FORMAT}", found=f"{found} in {directory}", remedy="Delete that folder."
    )
