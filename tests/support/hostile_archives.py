"""Archives, npz and safetensors files that mean harm, each of a few kilobytes unless it says more."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from tests.support.bit_stand_in import TINY, npz_bytes, stand_in_arrays
from tests.support.bundles import write_checkpoint
from tests.support.hostile_models import GAMMA, INDEX, SHARD, named, positions

Writer = Callable[[Path], object]


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """A tar member's header."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info


def model_files(folder: Path) -> dict[str, bytes]:
    """Name to content of a SavedModel's files."""
    arrays = stand_in_arrays(TINY)
    write_checkpoint(folder, positions(arrays), named(arrays))
    return {name: (folder / name).read_bytes() for name in (INDEX, SHARD)}


@contextmanager
def _tar(path: Path) -> Iterator[tarfile.TarFile]:
    """A .tar.gz with a SavedModel, to which more can be added."""
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT, compresslevel=1) as archive:
        for name, content in model_files(path.with_suffix(".folder")).items():
            archive.addfile(member(name, len(content)), io.BytesIO(content))
        yield archive


def _tar_with(*infos: tarfile.TarInfo) -> Writer:
    """Members without bytes, whatever size they declare."""

    def write(path: Path) -> None:
        with _tar(path) as archive:
            for info in infos:
                archive.fileobj.write(info.tobuf())

    return write


def _packed(path: Path, pieces: Iterator[bytes] | list[bytes]) -> None:
    """A .gz of pieces, one after the other."""
    packer = zlib.compressobj(1, wbits=31)
    with path.open("wb") as file:
        for piece in pieces:
            file.write(packer.compress(piece))
        file.write(packer.flush())


def pax_header(records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header with its records."""
    return member("pax", len(records), kind).tobuf() + records.ljust(-(-len(records) // 512) * 512, b"\0")


def pax_record(key: str, value: str) -> bytes:
    """One record: its own length in decimal digits, key and value."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return f"{length} {key}={value}\n".encode()


def _many_global_headers(path: Path) -> None:
    headers = (
        pax_header(pax_record(f"k{n}", "v" * 60_000), tarfile.XGLTYPE) + member(f"f{n}").tobuf() for n in range(99)
    )
    _packed(path, headers)


def _endless_sparse_map(path: Path, pieces: int = 4) -> None:
    """GNU's sparse format 1.0: a map of as many numbers as it says, read before the member is told of."""
    major = (
        pax_record("GNU.sparse.major", "1") + pax_record("GNU.sparse.minor", "0") + pax_record("GNU.sparse.name", "x")
    )
    start = [pax_header(major), member("x", 2**33 - 512).tobuf(), b"9999999999\n"]
    _packed(path, [*start, *[b"1\n" * 2**19] * pieces])


def _less_than_nothing(path: Path) -> None:
    info = member(SHARD, 512).tobuf()
    _packed(path, [pax_header(pax_record("size", "-5120")), info, bytes(512 * 20)])


def _twice(path: Path) -> None:
    with _tar(path) as archive:
        content = b"once more"
        archive.addfile(member(f"./{INDEX}", len(content)), io.BytesIO(content))


def _two_models(path: Path) -> None:
    with _tar(path) as archive:
        for name, content in model_files(path.with_suffix(".second")).items():
            archive.addfile(member(f"other/{name}", len(content)), io.BytesIO(content))


def _cut(path: Path) -> None:
    with _tar(path):
        pass
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _zip_of(path: Path, *infos: zipfile.ZipInfo) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in model_files(path.with_suffix(".folder")).items():
            archive.writestr(name, content)
        for info in infos:
            archive.writestr(info, "anywhere")


def _zip_link(path: Path) -> None:
    info = zipfile.ZipInfo("saved_model.pb")
    info.external_attr = 0o120777 << 16
    _zip_of(path, info)


def _zip_packed_with_lzma(path: Path) -> None:
    info = zipfile.ZipInfo("saved_model.pb")
    info.compress_type = zipfile.ZIP_LZMA
    _zip_of(path, info)


def _zip_table(path: Path, times: int = 30_000) -> None:
    """A table of members that is larger than what it lists."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"")
        archive.filelist *= times


def _npz(change: Callable[[dict[str, np.ndarray]], object]) -> Writer:
    def write(path: Path) -> None:
        arrays = stand_in_arrays(TINY)
        change(arrays)
        path.write_bytes(npz_bytes(arrays))

    return write


def npy_header(shape: str, dtype: str = "'<f4'", version: bytes = b"\1\0") -> bytes:
    """The first bytes of an array in numpy's format."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY" + version + len(text).to_bytes(2 if version == b"\1\0" else 4, "little") + text


def _npz_member(content: bytes, name: str = GAMMA) -> Writer:
    """An npz, one array of which is these bytes."""

    def write(path: Path) -> None:
        arrays = stand_in_arrays(TINY)
        del arrays[name]
        path.write_bytes(npz_bytes(arrays))
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.npy", content)

    return write


class Pickled:
    """What would run if a pickle of it were read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def _object_array() -> bytes:
    return npy_header("(1,)", "'|O'") + pickle.dumps(Pickled())


def safetensors(header: bytes, data: bytes = b"", length: int | None = None) -> Writer:
    """A safetensors file of any header."""
    return lambda path: path.write_bytes(
        (len(header) if length is None else length).to_bytes(8, "little") + header + data
    )


def _safetensors_header(tensors: Mapping[str, tuple[str, list[int], list[int]]]) -> bytes:
    return json.dumps(
        {
            name: {"dtype": dtype, "shape": shape, "data_offsets": place}
            for name, (dtype, shape, place) in tensors.items()
        }
    ).encode()


def _false_fingerprint(path: Path) -> None:
    path.write_bytes(save(stand_in_arrays(TINY), {"format": "mammo-search bit weights 1", "fingerprint": "0" * 64}))


HOSTILE: dict[str, tuple[Writer, str]] = {
    "tar: absolute name": (_tar_with(member("/etc/variables/variables.index")), "outside of the archive"),
    "tar: name that climbs": (_tar_with(member("../variables/variables.index")), "outside of the archive"),
    "tar: name that climbs by backslash": (_tar_with(member("..\\saved_model.pb")), "outside of the archive"),
    "tar: name with a drive": (_tar_with(member("C:evil")), "outside of the archive"),
    "tar: symbolic link": (_tar_with(member("x", 0, tarfile.SYMTYPE, "/etc/passwd")), "a link, device"),
    "tar: hard link": (_tar_with(member("saved_model.pb", 0, tarfile.LNKTYPE, "/etc/passwd")), "a link, device"),
    "tar: device": (_tar_with(member("variables/variables.x", 0, tarfile.CHRTYPE)), "a link, device"),
    "tar: pipe": (_tar_with(member("variables/variables.x", 0, tarfile.FIFOTYPE)), "a link, device"),
    "tar: 10^12 bytes": (_tar_with(member("saved_model.pb", 10**12)), "more than 1073741824 bytes"),
    "tar: 10^12 bytes that nobody needs": (_tar_with(member("readme", 10**12)), "more than 1073741824 bytes"),
    "tar: members without end": (_tar_with(*(member(f"f{n}") for n in range(10_001))), "or 10000 files"),
    "tar: a size below nothing": (_less_than_nothing, "a link, device|backwards"),
    "tar: a member twice": (_twice, "twice"),
    "tar: two models": (_two_models, "2 SavedModels"),
    "tar: no model": (lambda path: _packed(path, [member("readme").tobuf(), bytes(1024)]), "0 SavedModels"),
    "tar: cut short": (_cut, "end|EOF|unexpected"),
    "tar: name of 3 GB": (_tar_with(member("x", 3 * 10**9, tarfile.GNUTYPE_LONGNAME)), "extended headers of more"),
    "tar: pax header of 3 GB": (_tar_with(member("x", 3 * 10**9, tarfile.XHDTYPE)), "extended headers of more"),
    "tar: many global headers": (_many_global_headers, "extended headers of more"),
    "tar: old sparse file": (_tar_with(member("x", 512, tarfile.GNUTYPE_SPARSE)), "sparse file"),
    "tar: endless sparse map": (_endless_sparse_map, "sparse file"),
    "gz: of garbage": (lambda path: path.write_bytes(b"\x1f\x8b\x08" + bytes(range(200))), "found"),
    "gz: of text": (lambda path: _packed(path, [b"no tar " * 500]), "header"),
    "zip: link": (_zip_link, "a link, device"),
    "zip: name that climbs": (
        lambda path: _zip_of(path, zipfile.ZipInfo("../saved_model.pb")),
        "outside of the archive",
    ),
    "zip: packed with lzma": (_zip_packed_with_lzma, "packed in an unusual way"),
    "zip: table of 1.5 MB": (_zip_table, "a table of more than"),
    "zip: cut short": (lambda path: path.write_bytes(npz_bytes(stand_in_arrays(TINY))[:5000]), "not a zip"),
    "npz: 10^12 numbers": (_npz_member(npy_header("(1000000000000,)")), "1 of another shape"),
    "npz: shape that overflows": (_npz_member(npy_header(f"({2**62}, {2**62})")), "1 of another shape"),
    "npz: header of 100 kB": (_npz_member(npy_header("(64,)" + " " * 60_000)), "no array that can be read"),
    "npz: header that is a program": (_npz_member(npy_header("print('run')")), "no array that can be read"),
    "npz: header nested without end": (_npz_member(npy_header("(" * 4000)), "no array that can be read"),
    "npz: pickled objects": (_npz_member(_object_array()), "1 of another type"),
    "npz: whole numbers": (_npz(lambda a: a.update({GAMMA: np.ones(64, np.int64)})), "1 of another type"),
    "npz: fewer bytes than declared": (_npz_member(npy_header("(64,)") + bytes(8)), "expected 256 bytes got 8"),
    "npz: no array": (_npz_member(b"text"), "no array that can be read"),
    "npz: one name twice": (_npz(lambda a: a.update({f"module/{GAMMA}": a[GAMMA]})), "1 there twice"),
    "npz: not a number": (_npz(lambda a: a[GAMMA].fill(np.nan)), f"64 of 64 that are not, in {GAMMA}"),
    "npz: too large for float32": (_npz(lambda a: a.update({GAMMA: np.full(64, 1e300)})), f"64 of 64 .* {GAMMA}"),
    "safetensors: header of 2^62 bytes": (lambda p: p.write_bytes(b"\0\0\0\0\0\0\0\x40{"), "begins with"),
    "safetensors: header behind the end": (safetensors(b"{}", length=10_000), "a header of 10000 bytes in a file"),
    "safetensors: header of 2 MiB": (safetensors(b"{" + b" " * 2**21 + b"}"), "a header of 2097154 bytes"),
    "safetensors: nested without end": (safetensors(b'{"a":' + b"[" * 50_000), "found"),
    "safetensors: no JSON": (safetensors(b"{" * 100), "found"),
    "safetensors: place behind the end": (
        safetensors(_safetensors_header({GAMMA: ("F32", [64], [0, 256])}), bytes(8)),
        "found",
    ),
    "safetensors: 10^12 numbers": (
        safetensors(_safetensors_header({GAMMA: ("F32", [10**12], [0, 4 * 10**12])}), bytes(8)),
        "found",
    ),
    "safetensors: sides that overflow": (
        safetensors(_safetensors_header({GAMMA: ("F32", [2**62, 2**62], [0, 8])}), bytes(8)),
        "found",
    ),
    "safetensors: places that overlap": (
        safetensors(_safetensors_header({"a": ("F32", [2], [0, 8]), "b": ("F32", [2], [4, 12])}), bytes(12)),
        "found",
    ),
    "safetensors: another one's fingerprint": (_false_fingerprint, "do not match the stored fingerprint"),
    "safetensors: names of nobody": (
        lambda path: path.write_bytes(save({f"{n:04}": a for n, a in enumerate(stand_in_arrays(TINY).values())})),
        "neither the authors' nor timm's",
    ),
}
"""What is wrong to how it is written, and what is said."""


def _zeros(size: int) -> Iterator[bytes]:
    piece = bytes(2**22)
    return (piece for _ in range(size // len(piece)))


def _large_shard(path: Path) -> None:
    size = 960 * 2**20
    files = model_files(path.with_suffix(".folder"))
    index = member(INDEX, len(files[INDEX])).tobuf() + files[INDEX].ljust(-(-len(files[INDEX]) // 512) * 512, b"\0")
    _packed(path, [index, member(SHARD, size).tobuf(), *_zeros(size), bytes(1024)])


def _large_member_of_npz(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(f"{GAMMA}.npy", "w", force_zip64=True) as file,
    ):
        file.write(npy_header(f"({2**28},)"))
        for piece in _zeros(2**30):
            file.write(piece)


BOMBS: dict[str, Writer] = {
    "shard of 960 MiB": _large_shard,
    "npz with an array of 1 GiB": _large_member_of_npz,
    "zip with a table of 60 MB": lambda path: _zip_table(path, 1_200_000),
    "sparse map of 1 GiB": lambda path: _endless_sparse_map(path, 1000),
    "safetensors header of 90 MB": safetensors(
        b'{"__metadata__":{' + b",".join(b'"%d":""' % n for n in range(6_000_000)) + b"}}"
    ),
}
"""What unpacks, or is parsed, to a gigabyte or more; they take seconds to write."""
