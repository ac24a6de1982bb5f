"""Archives that somebody carried: what of them is a SavedModel, unpacked into a temporary folder.

Everything that a member declares counts before its bytes are unpacked, members that are not needed included. Only
files of a checkpoint and `saved_model.pb` are written, under plain names alone.
"""

from __future__ import annotations

import errno
import functools
import io
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from search.bit.formats.saved_model import INDEX, PROGRAM
from search.errors import WeightsError

LARGEST_UNPACKED = 2**30
"""Bytes; the module of R101x1 has 0.2 GB."""
MOST_MEMBERS = 10_000
_LARGEST_HEADER = 2**20
_PIECE = 2**14
"""Bytes of a .tar.gz at a time; tarfile unpacks each whole, to up to a thousand times more."""
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_EXTENDED = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    is_folder: bool
    is_plain: bool
    open: Callable[[], IO[bytes] | None]


def is_zip(start: bytes) -> bool:
    """Whether a file that begins so is a zip, or an npz, which is one."""
    return start.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def is_tar(start: bytes) -> bool:
    """Whether a file that begins so is a tar or a .tar.gz."""
    return start.startswith(b"\x1f\x8b") or start[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC)


def holds_saved_model(names: list[str]) -> bool:
    """Whether a SavedModel is among an archive's members."""
    return any(PurePosixPath(name).parts[-2:] == INDEX.parts for name in names)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The folder of the SavedModel in a .tar, .tar.gz or .zip, for the length of the block.

    Raises:
        ValueError: If the archive is damaged or too large, holds links or names that lead outside, or not one
            SavedModel.
        WeightsError: If the disk is full.
    """
    with tempfile.TemporaryDirectory(prefix="mammo-search-") as name:
        folder = Path(name)
        with _members(path) as members, _room_in(folder.parent):
            _unpack(members, folder)
        models = [index.parents[1] for index in folder.rglob(str(INDEX))]
        if len(models) != 1:
            raise ValueError(f"{len(models)} SavedModels ({INDEX.as_posix()}) in {path.name}, not one")
        yield models[0]


@contextmanager
def _room_in(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise WeightsError(
            expected=f"room for a SavedModel in {folder}",
            found=str(error.strerror),
            remedy="Make room, or set TMPDIR to a folder on another disk.",
        ) from error


def _unpack(members: Iterator[_Member], folder: Path) -> None:
    size = 0
    for count, member in enumerate(members, 1):
        size += abs(member.size)  # an extended header may say less than nothing
        if size > LARGEST_UNPACKED or count > MOST_MEMBERS:
            raise ValueError(f"more than {LARGEST_UNPACKED} bytes or {MOST_MEMBERS} files, up to {member.name[:100]!r}")
        inner = _plain_name(member.name)
        if not member.is_plain or member.size < 0:
            raise ValueError(f"a link, device, sparse or locked file, {member.name[:100]!r}")
        needed = inner.name == PROGRAM or (
            inner.parent.name == INDEX.parent.name and inner.name.startswith("variables.")
        )
        if member.is_folder or not needed:
            continue
        target = folder / inner
        target.parent.mkdir(parents=True, exist_ok=True)
        source = member.open()
        if source is None or target.exists():
            raise ValueError(f"{member.name[:100]!r} twice, or as a folder")
        with source, target.open("xb") as file:
            shutil.copyfileobj(source, file, 2**20)


def _plain_name(name: str) -> PurePosixPath:
    """The name as a path; refused where it leads out of the folder on any system."""
    inner = PurePosixPath(name.replace("\\", "/"))
    if inner.is_absolute() or ".." in inner.parts or PureWindowsPath(name).drive or "\0" in name:
        raise ValueError(f"a member outside of the archive, {name[:100]!r}")
    return inner


@contextmanager
def _members(path: Path) -> Iterator[Iterator[_Member]]:
    with path.open("rb") as file:
        start = file.read(_TAR_MAGIC_AT)
    if is_zip(start):
        with open_zip(path) as archive:
            yield (_zip_member(archive, entry) for entry in archive.infolist())
        return
    mode = "r|gz" if start.startswith(b"\x1f\x8b") else "r|"
    try:
        with tarfile.open(path, mode, bufsize=_PIECE, tarinfo=_bounded_tarinfo()) as tar:  # type: ignore[call-overload]
            yield (_tar_member(tar, entry) for entry in tar)
    except tarfile.TarError as error:
        raise ValueError(str(error)) from error


def _tar_member(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> _Member:
    plain = (entry.isreg() or entry.isdir()) and not entry.issparse()
    return _Member(entry.name, entry.size, entry.isdir(), plain, functools.partial(archive.extractfile, entry))


def _zip_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> _Member:
    plain = stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR) and not entry.flag_bits & 1
    return _Member(entry.filename, entry.file_size, entry.is_dir(), plain, functools.partial(archive.open, entry))


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip file whose table of members is of a reasonable size, and which is packed in a way that needs little memory.

    Raises:
        ValueError: If it is no such file.
    """
    with path.open("rb") as raw:
        try:
            with zipfile.ZipFile(_BoundedReads(raw)) as archive:
                known = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
                if any(entry.compress_type not in known for entry in archive.infolist()):
                    raise ValueError("a zip that is packed in an unusual way")
                yield archive
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise ValueError(str(error)) from error


class _BoundedReads(io.RawIOBase):
    """A file that is never read from in large pieces: zipfile takes a zip's whole table in one, however large it is."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int | None = -1, /) -> bytes:
        most = _LARGEST_HEADER + 1
        content: bytes = self._file.read(most if size is None or size < 0 else min(size, most))
        if len(content) > _LARGEST_HEADER:
            raise zipfile.BadZipFile(f"a table of more than {_LARGEST_HEADER} bytes")
        return content

    def seek(self, offset: int, whence: int = 0, /) -> int:
        place: int = self._file.seek(offset, whence)
        return place

    def tell(self) -> int:
        place: int = self._file.tell()
        return place

    def seekable(self) -> bool:
        return True


def _bounded_tarinfo() -> type[tarfile.TarInfo]:
    """For one archive: refuses what tarfile reads whole, and keeps, before it tells the next member."""
    total = 0

    class BoundedTarInfo(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> BoundedTarInfo:
            nonlocal total
            member = super().frombuf(buf, encoding, errors)
            total += member.size if member.type in _EXTENDED else 0
            if member.size < 0 or member.type == tarfile.GNUTYPE_SPARSE or total > _LARGEST_HEADER:
                raise tarfile.TarError(f"a sparse file, or extended headers of more than {_LARGEST_HEADER} bytes")
            return member

        def _proc_gnusparse_10(self, *_: Any) -> None:
            # Its map is as long as it likes to be.
            raise tarfile.TarError("a sparse file")

    return BoundedTarInfo
