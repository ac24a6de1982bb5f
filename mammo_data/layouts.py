"""Where images lie: a folder or an archive, seen as one `ImageSource`; nothing is unpacked to disk."""

from __future__ import annotations

import hashlib
import re
import tarfile
import threading
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from mammo_data.errors import DataError
from mammo_data.info_txt import decode_info

_IMAGE_NAME = re.compile(r"^(mdb\d{3})\.pgm$", re.IGNORECASE)
_INFO_NAME = "info.txt"
_Place = TypeVar("_Place", Path, tarfile.TarInfo)

LARGEST_FILE = 64 * 2**20
"""Bytes; MIAS's images have 1 MiB. A larger member of an archive is a bomb or no MIAS."""
LARGEST_ARCHIVE = 16 * 2**30
"""Bytes after unpacking; MIAS has 0.32 GiB."""


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
        """The truth table."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all names and bytes; the same for every packaging of the same files."""

    def read(self, image_id: str) -> bytes:
        """The encoded file of one image; safe to call from several threads."""

    def stream(self) -> Iterator[tuple[str, bytes]]:
        """All images in whatever order is cheapest to read, each once."""


def open_source(path: Path, info: Path | None = None) -> ImageSource:
    """Open a folder or an archive of images.

    Args:
        path: A folder that holds the images (at any depth), or a tar archive, compressed or not.
        info: The truth table where it does not lie beside the images.

    Raises:
        DataError: There is nothing at ``path``, or nothing that this understands.
    """
    info_bytes = None if info is None else _read_file(Path(info))
    path = Path(path)
    if path.is_dir():
        return FolderSource(path, info_bytes)
    if path.is_file() and tarfile.is_tarfile(path):
        return TarSource(path, info_bytes)
    raise DataError(
        expected="a folder of mdb001.pgm … with Info.txt, or a .tar.gz of them",
        found=f"{'another kind of file' if path.exists() else 'nothing'} at {path}",
        remedy="Point --data at the mini-MIAS archive or its folder; `mammo-search run --demo` needs no data.",
    )


class FolderSource:
    """Images in a folder or below it."""

    def __init__(self, directory: Path, info: bytes | None = None) -> None:
        self._directory = directory
        self._paths: dict[str, Path] = {}
        info_paths = []
        for path in sorted(directory.rglob("*")):
            if path.name.lower() == _INFO_NAME and path.is_file():
                info_paths.append(path)
            elif (name := _IMAGE_NAME.match(path.name)) and path.is_file():
                _add(self._paths, name.group(1).lower(), path, str(directory))
        if info is None:
            if not info_paths:
                raise _no_info(str(directory))
            info = _read_file(min(info_paths, key=lambda found: len(found.parts)))
        self._info = info

    @property
    def location(self) -> str:
        """The folder's path."""
        return str(self._directory)

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """Sorted names of the images."""
        return tuple(sorted(self._paths))

    @cached_property
    def info_text(self) -> str:
        """The truth table."""
        return decode_info(self._info, f"Info.txt of {self._directory}")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all names and bytes."""
        # hashlib releases the GIL for large buffers, so threads share the work.
        with ThreadPoolExecutor() as pool:
            digests = pool.map(lambda image_id: hashlib.sha256(self.read(image_id)).hexdigest(), self.image_ids)
            return _fingerprint(dict(zip(self.image_ids, digests, strict=True)), self._info)

    def read(self, image_id: str) -> bytes:
        """The encoded file of one image."""
        return _read_file(self._paths[image_id])

    def stream(self) -> Iterator[tuple[str, bytes]]:
        """All images in the order of their names."""
        for image_id in self.image_ids:
            yield image_id, self.read(image_id)


class TarSource:
    """Images in a tar archive, read in passes from its beginning to its end."""

    def __init__(self, path: Path, info: bytes | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._archive: tarfile.TarFile | None = None
        self._digests: dict[str, str] = {}
        self._members: dict[str, tarfile.TarInfo] = {}
        with _readable(path):
            self._info = self._scan(info)

    def _scan(self, info: bytes | None) -> bytes:
        found_info = None
        for member, data in self._files():
            name = PurePosixPath(member.name).name
            if name.lower() == _INFO_NAME:
                found_info = found_info or data
            elif image := _IMAGE_NAME.match(name):
                _add(self._members, image.group(1).lower(), member, str(self._path))
                self._digests[image.group(1).lower()] = hashlib.sha256(data).hexdigest()
        chosen = found_info if info is None else info
        if chosen is None:
            raise _no_info(str(self._path))
        return chosen

    def _files(self) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        total = 0
        with tarfile.open(self._path, "r|*", bufsize=2**20) as archive:
            for member in archive:
                total += member.size
                _refuse_hostile(member, total, self._path)
                name = PurePosixPath(member.name).name
                if member.isfile() and (name.lower() == _INFO_NAME or _IMAGE_NAME.match(name)):
                    file = archive.extractfile(member)
                    if file is not None:
                        yield member, file.read()

    @property
    def location(self) -> str:
        """The archive's path."""
        return str(self._path)

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """Sorted names of the images."""
        return tuple(sorted(self._members))

    @cached_property
    def info_text(self) -> str:
        """The truth table."""
        return decode_info(self._info, f"Info.txt of {self._path}")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all names and bytes, not of the archive: repacking changes nothing."""
        return _fingerprint(self._digests, self._info)

    def read(self, image_id: str) -> bytes:
        """The encoded file of one image; cheap in the archive's order, a pass from its beginning otherwise."""
        with self._lock, _readable(self._path):
            if self._archive is None:
                self._archive = tarfile.open(self._path)  # noqa: SIM115 - kept for the source's life, see close
            # With the member, not its name: by name tarfile would read the whole archive for a list first.
            file = self._archive.extractfile(self._members[image_id])
            if file is None:
                raise _damaged_archive(self._path, f"no file behind {image_id}")
            return file.read()

    def stream(self) -> Iterator[tuple[str, bytes]]:
        """All images in the archive's order, in one pass."""
        with _readable(self._path):
            for member, data in self._files():
                if image := _IMAGE_NAME.match(PurePosixPath(member.name).name):
                    yield image.group(1).lower(), data

    def close(self) -> None:
        """Close the archive."""
        if self._archive is not None:
            self._archive.close()
            self._archive = None

    def __del__(self) -> None:
        if getattr(self, "_archive", None) is not None:
            self.close()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what a damaged archive makes tarfile, zlib and the system raise into a `DataError`."""
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise _damaged_archive(path, str(error) or type(error).__name__) from error


def _refuse_hostile(member: tarfile.TarInfo, total: int, path: Path) -> None:
    parts = PurePosixPath(member.name).parts
    if member.name.startswith("/") or ".." in parts:
        raise _damaged_archive(path, f"a member outside the archive, {member.name!r}", "members with plain names")
    if not (member.isfile() or member.isdir()):
        raise _damaged_archive(path, f"a link or device, {member.name!r}", "files and folders only")
    if member.size > LARGEST_FILE or total > LARGEST_ARCHIVE:
        raise _damaged_archive(path, f"{max(member.size, total)} bytes at {member.name!r}", "files of a MIAS's size")


def _damaged_archive(path: Path, found: str, expected: str = "a complete archive") -> DataError:
    return DataError(expected=expected, found=f"{found} in {path}", remedy="Fetch the archive again from its source.")


def _add(names: dict[str, _Place], image_id: str, place: _Place, location: str) -> None:
    if image_id in names:
        one, other = (found.name if isinstance(found, tarfile.TarInfo) else found for found in (names[image_id], place))
        raise DataError(
            expected="each image once",
            found=f"{image_id} as {one} and as {other} in {location}",
            remedy="Remove one of the two.",
        )
    names[image_id] = place


def _no_info(location: str) -> DataError:
    return DataError(
        expected="MIAS's truth table Info.txt beside the images",
        found=f"none in {location}",
        remedy="Put Info.txt there or name it with --info.",
    )


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            expected="a readable file",
            found=f"{error.strerror or error} at {path}",
            remedy="Check the path and its permissions.",
        ) from error


def _fingerprint(digests: Mapping[str, str], info: bytes) -> str:
    lines = [f"{image_id} {digests[image_id]}" for image_id in sorted(digests)]
    return hashlib.sha256("\n".join([*lines, hashlib.sha256(info).hexdigest()]).encode()).hexdigest()
