"""Writers of every packaging that a set comes in, from one flat folder."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from mammo_data import decode_grey, parse_info

# The smallest set: two films and their truth table.
INFO = b"mdb001 G CIRC B 5 4 2\nmdb002 G NORM \n"
PGM = b"P5\n8 8\n255\n" + bytes(64)
FILES = {"Info.txt": INFO, "mdb001.pgm": PGM, "mdb002.pgm": PGM}


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in (".pgm", ".txt")}


def tar_bytes(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **({"compresslevel": 1} if mode == "w:gz" else {})) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def zip_bytes(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def put(target: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)
    return target


def kaggle_info(data: bytes) -> bytes:
    """The mirror's variant: no prose, a header line."""
    rows = [line for line in data.decode().splitlines() if line.startswith("mdb")]
    return "\n".join(["REFNUM BG CLASS SEVERITY X Y RADIUS", *rows, ""]).encode()


def class_folders(folder: Path, target: Path) -> Path:
    """A folder a class and the class in the name; an image with findings of two classes stands in both."""
    files = files_of(folder)
    table = parse_info(files["Info.txt"].decode(), image_height=4096)
    put(target, {"Info.txt": files["Info.txt"]})
    for case in table.cases:
        for label in {finding.severity for finding in case.findings} or {case.label}:
            put(target, {f"{label}/{case.image_id}_{label}.pgm": files[f"{case.image_id}.pgm"]})
    return target


def scans_h5(folder: Path, target: Path, *, places: bool = True) -> Path:
    import h5py

    files = files_of(folder)
    rows = [line.split() for line in files["Info.txt"].decode().splitlines() if line.startswith("mdb")]
    names = ("REFNUM", "BG", "CLASS", "SEVERITY", "X", "Y", "RADIUS")
    target.mkdir(parents=True, exist_ok=True)
    path = target / "all_mias_scans.h5"
    with h5py.File(path, "w") as file:
        scans = [decode_grey(files[f"{row[0]}.pgm"], row[0]) for row in rows]
        file.create_dataset("scan", data=np.stack(scans), chunks=(1, *scans[0].shape), compression="gzip")
        for column, name in enumerate(names if places else names[:4]):
            cells = [row[column] if len(row) > column else "nan" for row in rows]
            file.create_dataset(name, data=np.array([cell.encode() for cell in cells]))
    return path


def converted(folder: Path, target: Path, suffix: str) -> Path:
    files = files_of(folder)
    put(target, {"Info.txt": files.pop("Info.txt")})
    for name, data in files.items():
        if name.endswith(".pgm"):
            _, encoded = cv2.imencode(suffix, decode_grey(data, name))
            put(target, {Path(name).stem + suffix: encoded.tobytes()})
    return target


def _one_file(target: Path, name: str, data: bytes) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    (target / name).write_bytes(data)
    return target / name


def _in(prefix: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {prefix + name: data for name, data in files.items()}


def _upper(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name.upper(): data for name, data in files.items()}


def _kaggle(folder: Path, target: Path) -> Path:
    files = files_of(folder)
    info = kaggle_info(files.pop("Info.txt"))
    put(target, {"Info.txt": info, **_in("all-mias/", files)})
    scans_h5(folder, target)
    return target


def _kaggle_zip(folder: Path, target: Path) -> Path:
    files = files_of(folder)
    info = kaggle_info(files.pop("Info.txt"))
    everything = {"Info.txt": info, **_in("all-mias/", files), "all-mias.tar/all-mias.tar": tar_bytes(files, "w")}
    return _one_file(target, "archive.zip", zip_bytes(everything))


def _nested(folder: Path, target: Path) -> Path:
    files = files_of(folder)
    half = len(files) // 2
    one, other = dict(list(files.items())[:half]), dict(list(files.items())[half:])
    return _one_file(
        target, "sets.tar", tar_bytes({"a/one.tar.gz": tar_bytes(one), "b/two.zip": zip_bytes(other)}, "w")
    )


PACKAGINGS: dict[str, Callable[[Path, Path], Path]] = {
    "flat folder": lambda folder, target: put(target, files_of(folder)),
    "upper case": lambda folder, target: put(target, _upper(files_of(folder))),
    "kaggle folder": _kaggle,
    "kaggle zip": _kaggle_zip,
    "flat tar.gz": lambda folder, target: _one_file(target, "all-mias.tar.gz", tar_bytes(files_of(folder))),
    "tar.gz with a folder": lambda folder, target: _one_file(
        target, "x.tgz", tar_bytes(_in("./all-mias/", files_of(folder)))
    ),
    "tar": lambda folder, target: _one_file(target, "ALL-MIAS.TAR", tar_bytes(_upper(files_of(folder)), "w")),
    "zip": lambda folder, target: _one_file(target, "mias.zip", zip_bytes(_in("MIAS/", files_of(folder)))),
    "nested": _nested,
    "archive in a folder": lambda folder, target: _one_file(target, "a.tar.gz", tar_bytes(files_of(folder))).parent,
    "class folders": class_folders,
    "h5": lambda folder, target: scans_h5(folder, target),
    "h5 in a folder": lambda folder, target: scans_h5(folder, target).parent,
    "png": lambda folder, target: converted(folder, target, ".png"),
    "tiff": lambda folder, target: converted(folder, target, ".tiff"),
}
"""Lossless ones, by name; each returns the path to open."""

SAME_BYTES = set(PACKAGINGS) - {"kaggle folder", "kaggle zip", "h5", "h5 in a folder", "png", "tiff"}
"""Those with the very bytes of the original's films and truth table, which share its fingerprint."""


def remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
