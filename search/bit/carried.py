"""Weights from a file or folder that somebody carried here, whatever its name: its content says what it is.

Nothing in it is run or believed: arrays are read as data, and each is compared with the published one.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from search.bit.architecture import R50X1, BitArchitecture
from search.bit.checkpoint import match_official
from search.bit.family import verify
from search.bit.formats.archive import holds_saved_model, is_tar, is_zip, open_zip, unpacked
from search.bit.formats.base import StoredArray, whole_file
from search.bit.formats.saved_model import INDEX, saved_model_arrays
from search.bit.formats.tensor_files import is_safetensors, npz_arrays
from search.bit.weights import BitWeights, fingerprint_of, read_stored
from search.errors import WeightsError

_START = 512


def load_weights(path: Path, arch: BitArchitecture = R50X1, published: Mapping[str, int] | None = None) -> BitWeights:
    """Weights from what a user names, recognised by its content.

    Args:
        path: An npz with the official names, with or without prefix and head; safetensors of this program or of timm; a
            SavedModel's folder; a .tar, .tar.gz or .zip with one.
        arch: The architecture to fill.
        published: Official name to CRC-32C of the genuine tensors; BiT-M-R50x1's if None.

    Returns:
        Arrays by official name, compared with the published ones.

    Raises:
        WeightsError: If it is none of these or damaged, does not fit the architecture, has values that are not finite,
            or if neither names nor checksums tell which array is which.
    """
    kind = _kind(path)
    if kind == "safetensors":
        weights = read_stored(path, arch)
        found = verify(weights.arrays, arch, published)
        return replace(weights, genuine=found.genuine, verification=found.text)
    with whole_file(path), _declared(path, kind) as stored:
        return _proven(stored, arch, f"{kind} {path.resolve().name}", published)


def _kind(path: Path) -> str:
    with whole_file(path):
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return "SavedModel" if (path / INDEX).exists() else _refuse(path, f"a folder without {INDEX.as_posix()}")
        if not stat.S_ISREG(mode):
            return _refuse(path, "a pipe or device")
        with path.open("rb") as file:
            start = file.read(_START)
        if is_safetensors(start):
            return "safetensors"
        if is_tar(start):
            return "archive"
        if not is_zip(start):
            return _refuse(path, f"one that begins with {start[:16]!r}" if start else "an empty one")
        with open_zip(path) as archive:
            names = archive.namelist()
        if holds_saved_model(names):
            return "archive"
        if names and all(name.endswith(".npy") for name in names):
            return "npz"
        return _refuse(path, "a zip that holds neither arrays (.npy) alone nor a SavedModel")


@contextmanager
def _declared(path: Path, kind: str) -> Iterator[Sequence[StoredArray]]:
    if kind == "npz":
        with open_zip(path) as archive:
            yield npz_arrays(archive)
    elif kind == "archive":
        with unpacked(path) as folder:
            yield saved_model_arrays(folder)
    else:
        yield saved_model_arrays(path)


def _proven(
    stored: Sequence[StoredArray], arch: BitArchitecture, source: str, published: Mapping[str, int] | None
) -> BitWeights:
    matching = match_official(stored, arch, source)
    for arrays in matching.candidates:
        found = verify(arrays, arch, published)
        if matching.by_name or found.genuine:
            return BitWeights(arrays, fingerprint_of(arrays), source, found.genuine, found.text)
    raise WeightsError(
        expected=f"BiT's official variable names in {source}, or the published tensors in a known order",
        found="neither",
        remedy="Name the authors' npz, or TF-Hub's own module, with --weights.",
    )


def _refuse(path: Path, found: str) -> str:
    raise WeightsError(
        expected=f"an npz, a safetensors file, a SavedModel's folder, or its .tar, .tar.gz or .zip at {path}",
        found=found,
        remedy="Name another file with --weights.",
    )
