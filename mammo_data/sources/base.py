"""What every packaging looks like from outside: named, encoded images and their truth table."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Protocol

from mammo_data.cases import CaseTable
from mammo_data.errors import DataError
from mammo_data.truth.info_txt import decode_info

LARGEST_FILE = 64 * 2**20
"""Bytes; MIAS's images have 1 MiB. A larger member of an archive is a bomb or no MIAS."""


class ImageSource(Protocol):
    """Encoded images and their truth table, wherever they lie."""

    @property
    def location(self) -> str:
        """What to call the source in a message."""

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Sorted names of the images, lower case and without suffix."""

    @property
    def info_text(self) -> str:
        """The truth table; "" where `case_table` stands for it."""

    @property
    def case_table(self) -> CaseTable | None:
        """The cases, where the source states them itself, y from the top; None: they follow from `info_text`."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all names and bytes; the same for every packaging of the same files."""

    @property
    def others(self) -> tuple[str, ...]:
        """Paths of images that are there and not used, for they have no film's name."""

    def paths(self, image_id: str) -> tuple[str, ...]:
        """Where an image lies in the source; more than one where it is there several times, equal in bytes."""

    def read(self, image_id: str) -> bytes:
        """The encoded file of one image; safe to call from several threads."""

    def stream(self) -> Iterator[tuple[str, bytes]]:
        """All images in whatever order is cheapest to read, each once."""


class FilmSource:
    """What the packagings of MIAS have in common; each adds `read`, `stream` and its digests.

    Args:
        location: What to call it in a message.
        paths: For each film the paths it was found at.
        info: Bytes of the truth table.
        others: Further images.
    """

    case_table: CaseTable | None = None

    def __init__(
        self, location: str, paths: Mapping[str, tuple[str, ...]], info: bytes, others: tuple[str, ...] = ()
    ) -> None:
        self._location = location
        self._film_paths = paths
        self._info = info
        self._others = others

    @property
    def location(self) -> str:
        """The path of the folder or file."""
        return self._location

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """Sorted names of the films."""
        return tuple(sorted(self._film_paths))

    @cached_property
    def info_text(self) -> str:
        """The truth table."""
        return decode_info(self._info, f"Info.txt of {self._location}")

    @property
    def others(self) -> tuple[str, ...]:
        """Paths of images that have no film's name."""
        return self._others

    def paths(self, image_id: str) -> tuple[str, ...]:
        """Where a film lies in the packaging."""
        return self._film_paths[image_id]


def films_fingerprint(digests: Mapping[str, str], info: bytes) -> str:
    """SHA-256 (hex) of films and truth table, whatever they are packed in.

    Args:
        digests: SHA-256 (hex) of each film's bytes by its name.
        info: The truth table's bytes.
    """
    lines = [f"{image_id} {digests[image_id]}" for image_id in sorted(digests)]
    return hashlib.sha256("\n".join([*lines, hashlib.sha256(info).hexdigest()]).encode()).hexdigest()


def choose_info(candidates: Mapping[str, bytes], given: bytes | None, location: str) -> bytes:
    """The truth table to use: the one given, else the one nearest to the top.

    Args:
        candidates: Bytes by path of all that were found.
        given: What the user named.
        location: What to call the set.

    Raises:
        DataError: There is none.
    """
    if given is not None:
        return given
    if not candidates:
        raise DataError(
            expected="MIAS's truth table Info.txt beside the images",
            found=f"none in {location}",
            remedy="Put Info.txt there or name it with --info.",
        )
    return candidates[min(candidates, key=lambda path: (path.count("/"), path))]


def read_file(path: Path, largest: int = LARGEST_FILE) -> bytes:
    """A file's bytes.

    Raises:
        DataError: It can't be read, or is larger than ``largest`` bytes.
    """
    try:
        # Unbuffered, and no more asked for than is there: a buffer of `largest` bytes costs more than the reading.
        with path.open("rb", buffering=0) as file:
            data = file.readall() if os.fstat(file.fileno()).st_size <= largest else b""
            size = max(len(data), os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise DataError(
            expected="a readable file",
            found=f"{error.strerror or error} at {path}",
            remedy="Check the path and its permissions.",
        ) from error
    if size > largest:
        raise DataError(
            expected=f"at most {largest} bytes in a file",
            found=f"more at {path}",
            remedy="Replace or remove that file.",
        )
    return data


def conflicting_copies(image_id: str, one: str, other: str, location: str) -> DataError:
    """The error for two different files of one film."""
    return DataError(
        expected="each image once, or in equal copies",
        found=f"{image_id} as {one} and, with other bytes, as {other} in {location}",
        remedy="Remove one of the two.",
    )
