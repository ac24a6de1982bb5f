"""Images without labels, as a user names them: files, folders, archives, bytes or a list of paths on a stream.

An image that can't be read is an error beside its name, in its place; the images after it go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
        name: Its path as the user gave it; in a folder or archive its path there, behind that of the folder or archive
            where others were named as well.
        data: The encoded bytes, or the error.
    """

    name: str
    data: bytes | DataError


def image_files(given: Iterable[Path | ImageFile]) -> Iterator[ImageFile]:
    """All images that were named, one after the other, in a fixed order.

    Of a folder those with an image's suffix, at any depth, and DICOM files without one; of an archive the same, nested
    archives included. Hidden files, truth tables and other texts are passed over. A file that is named itself is an
    image whatever its suffix.

    Args:
        given: Files, folders, archives, and images that were read already.

    Yields:
        The images; an unreadable one, a folder without any, or a damaged archive as an error.
    """
    named = tuple(given)
    for path in named:
        if isinstance(path, ImageFile):
            yield path
            continue
        is_archive = _is_archive(path)
        if not path.is_dir() and not is_archive:
            yield ImageFile(str(path), _read(path))
            continue
        # Of several folders images may have one name.
        before = f"{path}/" if named[1:] else ""
        found = None
        for found in _of_archive(path, before) if is_archive else _of_folder(path, before):
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


def count_images(given: Sequence[Path | ImageFile]) -> int | None:
    """How many `image_files` gives of what was named; None where an archive would have to be read for that."""
    # By the suffix: a list may be long, and whoever asks does not wait.
    others = [path for path in given if isinstance(path, Path) and path.suffix.lower() not in IMAGE_SUFFIXES]
    if any(map(_is_archive, others)):
        return None
    folders = [path for path in others if path.is_dir()]
    # A folder without any is a row as well.
    return len(given) - len(folders) + sum(max(1, len(list(_names_in(folder)))) for folder in folders)


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


def _is_archive(path: Path) -> bool:
    return path.is_file() and kind_of_file(path.name) != "h5" and is_archive_file(path)


def _of_folder(folder: Path, before: str) -> Iterator[ImageFile]:
    for name in _names_in(folder):
        yield ImageFile(before + name, _read(folder / name))


def _names_in(folder: Path) -> Iterator[str]:
    for name in files_below(folder):
        path = folder / name
        if _may_be_image(name) and path.is_file() and (path.suffix or is_dicom(first_bytes(path, 132))):
            yield name


def _of_archive(path: Path, before: str) -> Iterator[ImageFile]:
    try:
        for member in archive_members(path):
            if _may_be_image(member.path):
                data = member.read()
                if PurePosixPath(member.path).suffix or is_dicom(data):
                    yield ImageFile(before + member.path, data)
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
