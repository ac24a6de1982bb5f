"""An archive's files in one pass, nested archives included, with hostile ones refused before they cost anything.

Nothing is written to disk, so a member's name can't lead anywhere; a name that tries is refused all the same, for such
an archive is not what it claims to be. Sizes count as declared, before a byte of the member is unpacked, and neither
tarfile nor zipfile hands out more than was declared; what is unpacked between a tar's members, and the table of a zip,
are bounded by themselves (`mammo_data.sources.unpacking`).
"""

from __future__ import annotations

import functools
import io
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from mammo_data.errors import MISREAD, DataError
from mammo_data.sources.base import LARGEST_FILM, first_bytes
from mammo_data.sources.film_names import TAR_SUFFIXES, kind_of_file
from mammo_data.sources.unpacking import MOST_BETWEEN, Unpacked, require_short_table

LARGEST_ARCHIVE = 4 * 2**30
"""Bytes after unpacking, nested archives counted twice; MIAS has 0.32 GiB, Kaggle's three copies of it 1 GiB."""
MOST_MEMBERS = 50_000
DEEPEST_NESTING = 3
_LARGEST_IN_MEMORY = 192 * 2**20
_LARGEST_HEADER = 2**20
_PIECE = 2**20
# What else zipfile knows may take gigabytes of memory by its header's word.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_HEADER_TYPES = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        path: Its path with slashes; that of a nested archive comes first.
        size: Bytes, as declared.
        read: Its bytes; to be called before the next member is asked for.
    """

    path: str
    size: int
    read: Callable[[], bytes]


@dataclass
class _Budget:
    location: str
    unpacked: int = 0
    members: int = 0

    def spend(self, path: str, size: int) -> None:
        self.unpacked += size
        self.members += 1
        if not _is_archive(path) and size > LARGEST_FILM:
            raise _hostile(self.location, f"{size} bytes at {path!r}", f"files of at most {LARGEST_FILM} bytes")
        if self.unpacked > LARGEST_ARCHIVE or self.members > MOST_MEMBERS:
            raise _hostile(
                self.location,
                f"{self.unpacked} bytes in {self.members} files up to {path!r}",
                f"at most {LARGEST_ARCHIVE} bytes unpacked, in at most {MOST_MEMBERS} files",
            )


class _GuardedTarInfo(tarfile.TarInfo):
    """Refuses what tarfile reads whole, whatever a member's size: large extended headers, tables of sparse files."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _GuardedTarInfo:
        member = super().frombuf(buf, encoding, errors)
        if member.type in _HEADER_TYPES and not 0 <= member.size <= _LARGEST_HEADER:
            raise tarfile.TarError(f"an extended header of {member.size} bytes")
        if member.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.TarError("a sparse file")
        return member


def archive_members(path: Path) -> Iterator[Member]:
    """All regular files of a tar or zip archive, in its order.

    Args:
        path: The archive.

    Raises:
        DataError: The archive is damaged, or a member is a link, leads outside or is too large.
    """
    with readable_archive(str(path)), path.open("rb") as file:
        yield from _members(file, path.name, "", _Budget(str(path)), 0)


def is_archive_file(path: Path) -> bool:
    """Whether a file is an archive, by its first bytes (an old tar: by its name); tarfile's own test unpacks some."""
    start = first_bytes(path, _TAR_MAGIC_AT + len(_TAR_MAGIC))
    packed = start.startswith((*_ZIP_MAGICS, b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"))
    return packed or start[_TAR_MAGIC_AT:] == _TAR_MAGIC or _is_archive(path.name)


def _is_archive(path: str) -> bool:
    return kind_of_file(path) == "archive"


@contextmanager
def readable_archive(location: str) -> Iterator[None]:
    """Turns what a damaged archive makes tarfile, zipfile, zlib and the system raise into a `DataError`."""
    try:
        yield
    # A chain of extended headers makes tarfile call itself for each: a RecursionError.
    except (*MISREAD, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        raise _hostile(location, str(error) or type(error).__name__, "a complete archive") from error


def _members(file: IO[bytes], name: str, prefix: str, budget: _Budget, depth: int) -> Iterator[Member]:
    if depth > DEEPEST_NESTING:
        raise _hostile(budget.location, f"archives in archives at {prefix!r}", f"at most {DEEPEST_NESTING} levels")
    is_zip = name.lower().endswith(".zip") or (depth == 0 and _is_zip(file))
    for entry in _zip_entries(file) if is_zip else _tar_entries(file):
        path = prefix + _plain(entry.name, budget.location)
        if entry.fault:
            raise _hostile(budget.location, f"{entry.fault}, {path!r}", "plain files and folders only")
        budget.spend(path, entry.size)
        if entry.is_folder:
            continue
        if _is_archive(path):
            with entry.open() as content:
                yield from _nested(content, entry.size, path, budget, depth)
        else:
            yield Member(path, entry.size, functools.partial(_read, entry, budget.location))


@dataclass(frozen=True)
class _Entry:
    """What tar and zip archives say of a member, in the same words; a fault is why it is refused."""

    name: str
    size: int
    is_folder: bool
    fault: str
    open: Callable[[], IO[bytes]]


def _tar_entries(file: IO[bytes]) -> Iterator[_Entry]:
    unpacked = Unpacked(file)
    with tarfile.open(
        fileobj=cast("IO[bytes]", unpacked), mode="r|", bufsize=_PIECE, tarinfo=_GuardedTarInfo
    ) as archive:
        while (entry := archive.next()) is not None:
            # tarfile keeps every entry, and every header meant for all, that it has seen.
            archive.pax_headers.clear()  # type: ignore[attr-defined]
            archive.members.clear()  # type: ignore[attr-defined]
            unpacked.stop = archive.offset + MOST_BETWEEN
            plain = (entry.isreg() or entry.isdir()) and not entry.issparse()
            opened = cast("Callable[[], IO[bytes]]", functools.partial(archive.extractfile, entry))
            yield _Entry(
                entry.name, entry.size, entry.isdir(), "" if plain else "a link, device or sparse file", opened
            )


def _zip_entries(file: IO[bytes]) -> Iterator[_Entry]:
    require_short_table(file)
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            plain = stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
            fault = "a link or device" if not plain else "a file with a password" if entry.flag_bits & 0x1 else ""
            if entry.compress_type not in _ZIP_METHODS:
                fault = fault or f"a file compressed by method {entry.compress_type}"
            opened = functools.partial(archive.open, entry)
            yield _Entry(entry.filename, entry.file_size, entry.is_dir(), fault, opened)


def _nested(content: IO[bytes], size: int, path: str, budget: _Budget, depth: int) -> Iterator[Member]:
    if not path.lower().endswith(TAR_SUFFIXES):
        # A zip's table is at its end, so one inside another archive has to be in memory.
        if size > _LARGEST_IN_MEMORY:
            raise _hostile(budget.location, f"{size} bytes at {path!r}", f"{_LARGEST_IN_MEMORY} bytes in a nested zip")
        content = _in_memory(content)
    yield from _members(content, path, f"{path}/", budget, depth + 1)


def _read(entry: _Entry, location: str) -> bytes:
    # Called by whoever walks the members, outside the walk's own guard.
    with readable_archive(location), entry.open() as content:
        return _in_memory(content).getvalue()


def _in_memory(content: IO[bytes]) -> io.BytesIO:
    """All of a member: in pieces, for tarfile and zipfile hold a whole one three times."""
    buffer = io.BytesIO()
    shutil.copyfileobj(content, buffer, _PIECE)
    buffer.seek(0)
    return buffer


def _is_zip(file: IO[bytes]) -> bool:
    """By the first bytes: zipfile looks at the last ones, and takes a tar that ends with a zip for it."""
    start = file.read(4)
    file.seek(0)
    return start in _ZIP_MAGICS


def _plain(name: str, location: str) -> str:
    """The name without "./"; refused where it leads out of the archive on any system."""
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or (pure.parts and pure.parts[0].endswith(":")) or "\0" in name:
        raise _hostile(location, f"a member outside the archive, {name!r}", "members with plain names")
    return str(pure)


def _hostile(location: str, found: str, expected: str) -> DataError:
    return DataError(
        expected=expected, found=f"{found[:200]} in {location}", remedy="Fetch the archive again from its source."
    )
