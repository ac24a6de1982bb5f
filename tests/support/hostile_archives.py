"""Archives, HDF5 files and tables made to harm; each writer fills one file."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import numpy as np

from tests.support.hostile_images import bomb
from tests.support.packagings import FILES, INFO, put, tar_bytes, zip_bytes

Writer = Callable[[Path], object]
MEBI = 2**20


def packed(parts: Iterable[bytes]) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(part) for part in parts), packer.flush()])


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def record(key: str, value: str) -> bytes:
    """A record of a pax header, which begins with its own length."""
    body = f" {key}={value}\n".encode()
    length = len(body) + len(str(len(body)))
    return str(length + (len(str(length)) > len(str(len(body))))).encode() + body


def with_pax(records: bytes, kind: bytes, name: str = "x") -> bytes:
    return header("pax", len(records), kind) + records.ljust(-(-len(records) // 512) * 512, b"\0") + header(name, 0)


def global_headers(count: int) -> bytes:
    """Each adds keys of its own, which tarfile keeps to the end."""
    value = "v" * (MEBI // 2)
    return packed(with_pax(record(f"key{n}", value), tarfile.XGLTYPE) for n in range(count))


def sparse() -> bytes:
    """A table of holes that goes on and on."""
    head = bytearray(header("mdb001.pgm", 512, tarfile.GNUTYPE_SPARSE))
    entry = b"%011o\0%011o\0" % (512, 512)
    head[386:482], head[482] = entry * 4, 1
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + 256 + sum(head[156:]))
    return packed([bytes(head), *([(entry * 21).ljust(504, b"\0") + b"\x01" + bytes(7)] * 300_000)])


def sparse_by_pax() -> bytes:
    """A number of holes in the member's data, of which tarfile reads as many as are stated."""
    records = record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.name", "a")
    start = with_pax(records, tarfile.XHDTYPE, "mdb001.pgm")
    return packed([start, b"999999999\n", *[b"1\n" * (MEBI // 2)] * 300])


def xz_of_four_gigabytes() -> bytes:
    """A header that asks for a dictionary of 4 GiB."""
    data = bytearray(lzma.compress(tar_bytes(FILES, "w"), check=lzma.CHECK_NONE))
    size = (data[12] + 1) * 4
    place = data.index(b"\x21\x01", 12, 12 + size) + 2
    data[place] = 40
    data[12 + size - 4 : 12 + size] = struct.pack("<I", zlib.crc32(bytes(data[12 : 12 + size - 4])))
    return bytes(data)


def zip_of_members(count: int) -> bytes:
    """A table alone: a million entries, all of them at the same place."""
    name = b"mdb001.pgm"
    entry = struct.pack("<I6H3I5HII", 0x02014B50, 20, 20, *[0] * 7, len(name), *[0] * 6) + name
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 65535, 65535, len(entry) * count, 4, 0)
    return b"PK\x03\x04" + entry * count + end


def zip_overlapping() -> bytes:
    """Two thousand entries of one bomb of 64 MiB: small, and 128 GB in all."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.pgm", bytes(64 * MEBI))
    data = buffer.getvalue()
    place = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry = data[place:end]
    tail = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2000, 2000, len(entry) * 2000, place, 0)
    return data[:place] + entry * 2000 + tail


def zip_by_lzma() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("mdb001.pgm", FILES["mdb001.pgm"])
    return buffer.getvalue()


def films_of(size: int, count: int) -> bytes:
    """Large members, none a film, that all together may wait for a thread."""
    parts = [header("Info.txt", len(INFO)), INFO.ljust(512, b"\0")]
    for number in range(1, count + 1):
        parts += [header(f"mdb{number:03d}.pgm", size), *[bytes(MEBI)] * (size // MEBI)]
    return packed(parts)


def scans(path: Path, change: Callable[[h5py.File], object]) -> None:
    with h5py.File(path, "w") as file:
        file["BG"], file["CLASS"], file["SEVERITY"] = [b"G"] * 2, [b"NORM"] * 2, [b"nan"] * 2
        change(file)
        if "REFNUM" not in file:
            file["REFNUM"] = [b"mdb001", b"mdb002"]
        if "scan" not in file:
            file["scan"] = np.zeros((2, 64, 64), np.uint8)


def chunk_bomb(file: h5py.File) -> None:
    """Chunks of 4 KB that become a gigabyte each; nothing in the file says so."""
    data = file.create_dataset("scan", (2, 64, 64), np.uint8, chunks=(1, 64, 64), compression="gzip")
    for row in range(2):
        data.id.write_direct_chunk((row, 0, 0), bomb(2**30))


def one_long_text(file: h5py.File) -> None:
    file["REFNUM"] = np.array([b"mdb001", b"x" * (32 * MEBI)], dtype=h5py.string_dtype("ascii"))


def empty(path: Path, size: int) -> None:
    """A file of so many zeros, of which the disk has none."""
    with path.open("wb") as file:
        file.truncate(size)


def table(path: Path, name: str, start: bytes, size: int = 0) -> None:
    """A set whose table is ``name``; the set's path is a folder."""
    put(path, FILES if name == "Info.txt" else {"a.pgm": FILES["mdb001.pgm"]})
    (path / name).write_bytes(start)
    if size:
        empty(path / name, size)


CASES = b"image,patient,label\n"

HOSTILE: dict[str, tuple[str, Writer]] = {
    "pax header of 200 MB": (
        ".tar.gz",
        lambda p: p.write_bytes(packed([header("x", 200 * MEBI, tarfile.XHDTYPE), *[bytes(MEBI)] * 200])),
    ),
    "long name of 200 MB": (
        ".tar.gz",
        lambda p: p.write_bytes(packed([header("x", 200 * MEBI, tarfile.GNUTYPE_LONGNAME), *[b"a" * MEBI] * 200])),
    ),
    "global pax headers": (".tar.gz", lambda p: p.write_bytes(global_headers(2_000))),
    "sparse file": (".tar.gz", lambda p: p.write_bytes(sparse())),
    "sparse file by pax": (".tar.gz", lambda p: p.write_bytes(sparse_by_pax())),
    "gzip of one endless film": (".tar.gz", lambda p: p.write_bytes(films_of(280 * MEBI, 3))),
    "gzip in gzip": (
        ".tar.gz",
        lambda p: p.write_bytes(gzip.compress(header("a.tar.gz", 280 * MEBI) + films_of(280 * MEBI, 1) + bytes(MEBI))),
    ),
    "xz of 4 GiB": (".tar.xz", lambda p: p.write_bytes(xz_of_four_gigabytes())),
    "zip of a million members": (".zip", lambda p: p.write_bytes(zip_of_members(10**6))),
    "zip of half a million": (".zip", lambda p: p.write_bytes(zip_of_members(440_000))),
    "zip, overlapping": (".zip", lambda p: p.write_bytes(zip_overlapping())),
    "zip by lzma": (".zip", lambda p: p.write_bytes(zip_by_lzma())),
    "zip in a zip": (".zip", lambda p: p.write_bytes(zip_bytes({"a.zip": bytes(300 * MEBI), **FILES}))),
    "tar of a million members": (
        ".tar.gz",
        lambda p: p.write_bytes(packed([header("a", 0) * 1_000] * 1_000)),
    ),
    "h5, chunks": (".h5", lambda p: scans(p, chunk_bomb)),
    "h5 of 4 TB": (
        ".h5",
        lambda p: scans(p, lambda file: file.create_dataset("scan", (10**6, 2048, 2048), np.uint8, chunks=(1, 64, 64))),
    ),
    "h5, one chunk": (
        ".h5",
        lambda p: scans(
            p, lambda file: file.create_dataset("scan", (2000, 1024, 1024), np.uint8, chunks=(2000, 1024, 1024))
        ),
    ),
    "h5, wide text": (
        ".h5",
        lambda p: scans(p, lambda file: file.create_dataset("REFNUM", (2,), "S100000000", chunks=(1,))),
    ),
    "h5, long text": (".h5", lambda p: scans(p, one_long_text)),
    "Info.txt of 3 GB": ("", lambda p: table(p, "Info.txt", b"", 3 * 2**30)),
    "Info.txt of one line": ("", lambda p: table(p, "Info.txt", b"mdb001 " + b"G " * (7 * MEBI))),
    "cases.csv of 3 GB": ("", lambda p: table(p, "cases.csv", b"", 3 * 2**30)),
    "cases.csv of commas": ("", lambda p: table(p, "cases.csv", CASES + b"," * (15 * MEBI))),
    "cases.csv of columns": ("", lambda p: table(p, "cases.csv", b"image,patient,label" + b",x" * (7 * MEBI) + b"\n")),
    "cases.csv of lines": ("", lambda p: table(p, "cases.csv", CASES + b"a,b,c\n" * (5 * MEBI // 2))),
    "cases.csv of a quote": ("", lambda p: table(p, "cases.csv", CASES + b'"' + b"a\n" * (7 * MEBI))),
    "cases.csv in UTF-16": ("", lambda p: table(p, "cases.csv", (CASES.decode() + "ab,\n" * MEBI).encode("utf-16"))),
}
"""Suffix of the set's path and its writer, by name."""

SLOW = {
    *("global pax headers", "gzip of one endless film", "cases.csv of lines", "cases.csv of a quote"),
    *("zip of half a million", "zip in a zip", "tar of a million members", "gzip in gzip"),
    *("cases.csv of commas", "cases.csv of columns", "Info.txt of one line", "h5, chunks"),
}
