"""From a local file or folder to weights: what it is, is told by its content.

A stand-in: the branch that reads carried files brings the whole of it.
"""

from __future__ import annotations

import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from search.bit.architecture import R50X1, BitArchitecture
from search.bit.checkpoint import Matching, match_official, read_npz, read_saved_model
from search.bit.family import verify
from search.bit.weights import BitWeights, fingerprint_of, read_stored
from search.errors import WeightsError

_MOST_UNPACKED = 2 * 2**30


def load_weights(path: Path, arch: BitArchitecture) -> BitWeights:
    """Weights from an npz, a safetensors file, a SavedModel's folder or its archive.

    Args:
        path: The file or folder.
        arch: The architecture to fill.

    Raises:
        WeightsError: If it is none of these, or does not fit.
    """
    if path.is_dir():
        return load_saved_model(path, arch)
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise WeightsError(
            expected=f"a readable weights file at {path}",
            found=error.strerror or str(error),
            remedy="Correct --weights.",
        ) from error
    if start.startswith(b"PK"):
        return load_npz(path, arch)
    if start[8:] == b"{":
        return read_stored(path, arch)
    with unpacked(path) as directory:
        return replace(load_saved_model(directory, arch), provenance=f"archive {path.name}")


def load_npz(path: Path, arch: BitArchitecture = R50X1) -> BitWeights:
    """Weights from an npz with the official names, with or without prefix and head, checked against the published.

    Raises:
        WeightsError: If the file can't be read or does not fit the architecture.
    """
    return _proven(match_official(read_npz(path), arch, path.name), arch, f"npz {path.name}")


def load_saved_model(
    directory: Path, arch: BitArchitecture = R50X1, published: Mapping[str, int] | None = None
) -> BitWeights:
    """Weights from a SavedModel's checkpoint: by name, or in the one order in which every tensor is the published one.

    The model's program is neither run nor opened.

    Args:
        directory: The folder that holds `saved_model.pb` and `variables/`.
        arch: The architecture to fill.
        published: Official name to CRC-32C of the genuine tensors; BiT-M-R50x1's if None.

    Raises:
        WeightsError: If the folder can't be read or does not fit the architecture, or if neither names nor checksums
            tell which array is which.
    """
    matching = match_official(read_saved_model(directory), arch, directory.name)
    return _proven(matching, arch, f"SavedModel {directory.name}", published)


def _proven(
    matching: Matching, arch: BitArchitecture, source: str, published: Mapping[str, int] | None = None
) -> BitWeights:
    for arrays in matching.candidates:
        found = verify(arrays, arch, published)
        if matching.by_name or found.genuine:
            return BitWeights(arrays, fingerprint_of(arrays), source, found.genuine, found.text)
    raise WeightsError(
        expected=f"BiT's official variable names in {source}, or the published tensors in a known order",
        found="neither",
        remedy="Name the authors' npz, or TF-Hub's own module, with --weights.",
    )


@contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """The SavedModel folder inside a .tar.gz, unpacked for the length of the block.

    Raises:
        WeightsError: If the archive is broken or holds no SavedModel.
    """
    with tempfile.TemporaryDirectory(prefix="mammo-search-") as directory:
        try:
            with tarfile.open(archive) as members:
                size = 0
                for member in members:
                    size += member.size
                    if size > _MOST_UNPACKED:
                        raise tarfile.TarError(f"more than {_MOST_UNPACKED} bytes when unpacked")
                members.extractall(directory, filter="data")
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise WeightsError(
                expected=f"a complete .tar.gz at {archive}",
                found=f"{type(error).__name__}: {error}",
                remedy="Fetch the archive again, or name another file with --weights.",
            ) from error
        models = sorted(Path(directory).rglob("saved_model.pb"))
        if not models:
            raise WeightsError(
                expected=f"a SavedModel (saved_model.pb) in {archive}",
                found="none",
                remedy="Name a TF-Hub module's archive, an npz or a SavedModel folder with --weights.",
            )
        yield models[0].parent
