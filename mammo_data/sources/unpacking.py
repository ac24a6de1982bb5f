"""What an archive's packing may cost: bytes between a tar's members, a decoder's memory, a zip's table of members."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
from typing import IO, cast

MOST_BETWEEN = 4 * 2**20
"""Bytes of headers, and of what tarfile reads ahead, between two members of a tar."""

LARGEST_TABLE = 24 * 2**20
"""Bytes of a zip's table; 100,000 members with a hundred letters each have 15 MB.
In memory they are ten times that."""

_DECODER_MEMORY = 160 * 2**20  # xz -9 needs 65 MiB; a header may ask for 4 GiB
_PLENTY = 128 * 2**20
_MOST_GAIN = 100  # films become a third at best; a bomb a thousandth
_PIECE = 2**16
_ZIP_END, _ZIP_END_SIZE, _LONGEST_COMMENT = b"PK\x05\x06", 22, 2**16
_GZIP, _BZIP2, _XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"


class Unpacked:
    """A packed tar as its bytes, read once from the beginning to the end.

    Args:
        file: At its beginning; gzip, bzip2, xz or plain.

    Attributes:
        stop: Bytes up to which is read; whoever knows where the next member lies moves it.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.stop = MOST_BETWEEN
        self._given = 0
        self._packed = _Counting(file)
        start = self._packed.peek(len(_XZ))
        packed = cast("IO[bytes]", self._packed)
        if start.startswith(_XZ):
            self._plain = cast("IO[bytes]", io.BufferedReader(_Xz(packed)))
        elif start.startswith(_GZIP):
            self._plain = cast("IO[bytes]", gzip.GzipFile(fileobj=packed))
        else:
            self._plain = cast("IO[bytes]", bz2.BZ2File(packed)) if start.startswith(_BZIP2) else packed

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; fewer at the end alone.

        Raises:
            tarfile.TarError: There is more between two members than headers take, or far more than was packed.
        """
        data = self._plain.read(size)
        self._given += len(data)
        if self._given > self.stop:
            raise tarfile.TarError(f"more than {MOST_BETWEEN} bytes between two members")
        if self._given > _PLENTY and self._given > _MOST_GAIN * self._packed.given:
            raise tarfile.TarError(f"{self._given} bytes unpacked from the first {self._packed.given}")
        return data


class _Counting(io.BufferedIOBase):
    """A file's bytes once more, counted; the first few can be looked at."""

    def __init__(self, file: IO[bytes]) -> None:
        self.given = 0
        self._file = file
        self._ahead = b""

    def peek(self, size: int = 0, /) -> bytes:
        while len(self._ahead) < size and (more := self._file.read(size - len(self._ahead))):
            self._ahead += more
        return self._ahead

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = -1 if size is None or size < 0 else size
        ahead, self._ahead = self._ahead, b""
        if 0 <= wanted <= len(ahead):
            data, self._ahead = ahead[:wanted], ahead[wanted:]
        else:
            data = ahead + self._file.read(-1 if wanted < 0 else wanted - len(ahead))
        self.given += len(data)
        return data


class _Xz(io.RawIOBase):
    """xz unpacked within bounds; Python's own reader gives the decoder all the memory that a header asks for."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._decoder = lzma.LZMADecompressor(memlimit=_DECODER_MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        while True:
            if self._decoder.eof:
                rest = (self._decoder.unused_data or self._packed.read(_PIECE)).lstrip(b"\0")
                if not rest:
                    return 0
                self._decoder = lzma.LZMADecompressor(memlimit=_DECODER_MEMORY)
            else:
                rest = self._packed.read(_PIECE) if self._decoder.needs_input else b""
                if self._decoder.needs_input and not rest:
                    raise EOFError("the packed file ends early")
            data = self._decoder.decompress(rest, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)


def require_short_table(file: IO[bytes]) -> None:
    """Refuse a zip whose table of members is too long; zipfile makes objects of all of it when it opens one.

    Args:
        file: Seekable; left at its beginning.

    Raises:
        zipfile.BadZipFile: The table is too long, or there is none.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _ZIP_END_SIZE - _LONGEST_COMMENT))
    tail = file.read()
    file.seek(0)
    place = tail.rfind(_ZIP_END)
    if place < 0 or len(tail) < place + _ZIP_END_SIZE:
        raise zipfile.BadZipFile("no table of members at its end")
    (table,) = struct.unpack_from("<I", tail, place + 12)
    # All ones: the true length stands in a record before this one, and tables of 4 GiB have it.
    if table == 2**32 - 1:
        wide = tail.rfind(b"PK\x06\x06", 0, place)
        (table,) = struct.unpack_from("<Q", tail, wide + 40) if wide >= 0 else (table,)
    if table > LARGEST_TABLE:
        raise zipfile.BadZipFile(f"a table of members of {table} bytes")
