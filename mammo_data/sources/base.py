"""The image source: what every packaging looks like from outside, named, encoded images and their truth table."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from mammo_data.cases import CaseTable
from mammo_data.errors import DataError
from mammo_data.files import sha256_of
from mammo_data.truth.reading import decode_table, require_size

LARGEST_FILM = 288 * 2**20
"""Bytes of an encoded film: 6,000 × 7,500 pixels of 16 bits have 90 MB, and written as plain text (P2) 270 MB."""

_AHEAD = 64 * 2**20  # bytes of films that wait, before no further one is read

_Result = TypeVar("_Result")


class ImageSource(ABC):
    """Encoded images and their truth table; each packaging adds `read`.

    Args:
        location: What to call the source in a message.
        paths: For each image the paths it was found at, equal in bytes.
        info: Bytes of the truth table.
        others: Paths of images that are there and not used, for they have no film's name.
        case_table: The cases, where the source states them itself, y from the top; None: they follow from `info_text`.

    Attributes:
        image_ids: Sorted names of the images, for MIAS lower case and without suffix.
    """

    def __init__(
        self,
        location: str,
        paths: Mapping[str, Sequence[str]],
        info: bytes = b"",
        others: Sequence[str] = (),
        case_table: CaseTable | None = None,
    ) -> None:
        self.location = location
        self.image_ids = tuple(sorted(paths))
        self.others = tuple(others)
        self.case_table = case_table
        self._paths, self._info = paths, info

    @cached_property
    def info_text(self) -> str:
        """The truth table; "" where `case_table` stands for it."""
        return decode_table(self._info, f"Info.txt of {self.location}")

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 (hex) of each image's bytes, by its name and in the order of names."""
        # hashlib releases the GIL for large buffers, so threads share the work.
        with ThreadPoolExecutor() as pool:
            return dict(zip(self.image_ids, pool.map(self._digest, self.image_ids), strict=True))

    def _digest(self, image_id: str) -> str:
        return hashlib.sha256(self.read(image_id)).hexdigest()

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all names and bytes, the truth table's too; the same whatever they are packed in."""
        lines = [f"{image_id} {self.digests[image_id]}" for image_id in self.image_ids]
        return hashlib.sha256("\n".join([*lines, hashlib.sha256(self._info).hexdigest()]).encode()).hexdigest()

    @property
    def films_fingerprint(self) -> str:
        """SHA-256 (hex) of all images' bytes alone: the same whatever they are called, packed in or labelled."""
        return sha256_of(sorted(self.digests.values()))

    def paths(self, image_id: str) -> tuple[str, ...]:
        """Where an image lies in the source; more than one where it is there several times."""
        return tuple(self._paths[image_id])

    @abstractmethod
    def read(self, image_id: str) -> bytes:
        """The encoded file of one image; safe to call from several threads."""

    def stream(self) -> Iterator[tuple[str, bytes]]:
        """All images in whatever order is cheapest to read, each once."""
        for image_id in self.image_ids:
            yield image_id, self.read(image_id)


def work_on_films(
    source: ImageSource,
    work: Callable[[str, bytes], _Result],
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, _Result]:
    """Do something with each film in threads (OpenCV and numpy release the GIL), with few films in memory at a time.

    Args:
        source: The films.
        work: Called in a thread with a film's name and encoded bytes.
        workers: Threads; as many as there are cores by default.
        progress: Called with (films done, films in all), from the calling thread.

    Returns:
        The results by the films' names, in the order they were done.
    """
    workers = workers or os.cpu_count() or 1
    results: dict[str, _Result] = {}
    with ThreadPoolExecutor(workers, thread_name_prefix="films") as pool:
        films = source.stream()
        pending: dict[Future[_Result], tuple[str, int]] = {}

        def read_ahead() -> None:
            while len(pending) < 2 * workers and sum(size for _, size in pending.values()) <= _AHEAD:
                if (film := next(films, None)) is None:
                    return
                pending[pool.submit(work, *film)] = film[0], len(film[1])

        try:
            read_ahead()
            while pending:
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    results[pending.pop(future)[0]] = future.result()
                    if progress is not None:
                        progress(len(results), len(source.image_ids))
                read_ahead()
        finally:
            for future in pending:
                future.cancel()
    return results


def choose_info(candidates: Collection[str], read: Callable[[str], bytes], location: str) -> bytes:
    """The truth table to use where the user names none: the one nearest to the top.

    Args:
        candidates: Paths of all that were found.
        read: Gives the content of one.
        location: What to call the set.

    Raises:
        DataError: There is none, or two that differ are equally near.
    """
    if not candidates:
        raise DataError(
            expected="MIAS's truth table Info.txt beside the images",
            found=f"none in {location}",
            remedy="Put Info.txt there or name it with --info.",
        )
    nearest = min(path.count("/") for path in candidates)
    first, *others = sorted(path for path in candidates if path.count("/") == nearest)
    table = read(first)
    if differing := next((path for path in others if read(path) != table), ""):
        raise DataError(
            expected="one truth table",
            found=f"{first} and, with other bytes, {differing} in {location}",
            remedy="Name the right one with --info, or remove the other.",
        )
    return table


def digest_of(path: Path) -> str:
    """SHA-256 (hex) of a film's file, of which little is in memory at a time.

    Raises:
        DataError: It can't be read, or is larger than a film.
    """
    require_size(path.stat().st_size, LARGEST_FILM, str(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(directory: Path) -> list[str]:
    """All files in a folder or below it, linked folders included: sorted paths with slashes, relative to it."""
    found: list[str] = []
    for folder, folders, names in os.walk(directory, followlinks=True):
        # A folder that is linked below itself is walked once.
        here = Path(folder)
        above = {here.resolve(), *(parent.resolve() for parent in here.parents)}
        folders[:] = [name for name in folders if (here / name).resolve() not in above]
        found += [(here / name).relative_to(directory).as_posix() for name in names]
    # In the order of paths, not of their letters: "a/b" before "a-b/c".
    return sorted(found, key=lambda path: path.split("/"))


def first_bytes(path: Path, count: int) -> bytes:
    """The beginning of a file; nothing where it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError:
        return b""


def conflicting_copies(image_id: str, one: str, other: str, location: str) -> DataError:
    """The error for two different files of one film."""
    return DataError(
        expected="each image once, or in equal copies",
        found=f"{image_id} as {one} and, with other bytes, as {other} in {location}",
        remedy="Remove one of the two.",
    )
