"""Images without labels, as a user names them: files, folders, archives, bytes or a list of paths on a stream.

An image that can't be read is an error beside its name, in its place; the images after it go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO

from mammo_data.decoding.headers import is_dicom
from mammo_data.errors import DataError
from mammo_data.sources.archive_members import archive_members, is_archive_file
from mammo_data.sources.base import LARGEST_FILM, files_below, first_bytes
from mammo_data.sources.film_names import DICOM_SUFFIXES, IMAGE_SUFFIXES, is_hidden, kind_of_file
from mammo_data.truth.reading import LARGEST_TABLE, read_file, require_size

_PIECE = 2**20
_MAGICS = (b"P2", b"P5", b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class ImageFile:
    """One encoded image, or why there is none.

    Attributes:
        name: Its path as the user gave it; in a folder or archive, its path there.
        data: The encoded bytes, or the error.
    """

    name: str
    data: bytes | DataError


def image_files(paths: Iterable[Path]) -> Iterator[ImageFile]:
    """All images that paths name, one after the other, in a fixed order.

    Of a folder those with an image's suffix, at any depth, and DICOM files without one; of an archive the same, nested
    archives included. Hidden files, truth tables and other texts are passed over. A file that is named itself is an
    image whatever its suffix.

    Args:
        paths: Files, folders and archives.

    Yields:
        The images; an unreadable one, a folder without any, or a damaged archive as an error.
    """
    for path in paths:
        is_archive = path.is_file() and kind_of_file(path.name) != "h5" and is_archive_file(path)
        if not path.is_dir() and not is_archive:
            yield ImageFile(str(path), _read(path))
            continue
        found = None
        for found in _of_archive(path) if is_archive else _of_folder(path):
            yield found
        if found is None:
            yield ImageFile(
                str(path),
                DataError(
                    expected="images (PGM, PNG, JPEG, TIFF, DICOM)",
                    found=f"none in {path}",
                    remedy="Name the folder or archive that holds them.",
                ),
            )


def paths_or_image(stream: IO[bytes]) -> tuple[Path, ...] | bytes:
    """What comes on a stream: the bytes of one image, or a list of paths, one a line.

    Raises:
        DataError: It is neither, or larger than these are.
    """
    data = b"".join(islice(iter(lambda: stream.read(_PIECE), b""), LARGEST_FILM // _PIECE + 1))
    require_size(len(data), LARGEST_FILM, "standard input")
    if data.startswith(_MAGICS) or is_dicom(data):
        return data
    require_size(len(data), LARGEST_TABLE, "standard input, which is no image")
    text = data.decode("utf-8-sig", errors="replace")
    paths = tuple(Path(line.strip()) for line in text.splitlines() if line.strip())
    if not {"\0", "\N{REPLACEMENT CHARACTER}"}.isdisjoint(text) or not paths:
        raise DataError(
            expected="an image (PGM, PNG, JPEG, TIFF, DICOM) or a list of paths on standard input",
            found=f"{len(data)} bytes of something else",
            remedy="Pipe one image, or paths with a line each, into `-`.",
        )
    return paths


def _of_folder(folder: Path) -> Iterator[ImageFile]:
    for name in files_below(folder):
        path = folder / name
        if _may_be_image(name) and path.is_file() and (path.suffix or is_dicom(first_bytes(path, 132))):
            yield ImageFile(name, _read(path))


def _of_archive(path: Path) -> Iterator[ImageFile]:
    try:
        for member in archive_members(path):
            if _may_be_image(member.path):
                data = member.read()
                if PurePosixPath(member.path).suffix or is_dicom(data):
                    yield ImageFile(member.path, data)
    except DataError as error:
        yield ImageFile(str(path), error)


def _may_be_image(path: str) -> bool:
    pure = PurePosixPath(path)
    wanted = pure.suffix.lower() in ("", *IMAGE_SUFFIXES, *DICOM_SUFFIXES)
    return wanted and pure.name != "DICOMDIR" and not is_hidden(path)


def _read(path: Path) -> bytes | DataError:
    try:
        return read_file(path, LARGEST_FILM)
    except DataError as error:
        return error
