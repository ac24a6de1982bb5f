"""Weights from outside, imported once: found, downloaded, proven, verified and stored for every later run."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from search.bit.architecture import BitArchitecture
from search.bit.download import cache_directory, download_npz, resolve_handle, unpacked
from search.bit.family import FAMILY, has_checksums, source_for
from search.bit.store import SUFFIX, read_stored, stored_once
from search.bit.verification import Verification
from search.bit.weights import BitWeights, load_npz, load_saved_model
from search.errors import WeightsError

ARCHIVES = (".tar.gz", ".tgz", ".tar")


def imported_weights(spec: str, arch: BitArchitecture, cache: Path | None = None) -> BitWeights:
    """Weights from a handle, an address or a path.

    What takes time (a download, a SavedModel's forward pass) is done once and its result stored as safetensors; an npz
    or safetensors file that the user names is read where it lies.

    Args:
        spec: As for `search.bit.weights.resolve_weights`, without `random`.
        arch: The architecture to fill.
        cache: Where downloads and imports are kept; the user's cache folder if None.

    Raises:
        WeightsError: If the weights can't be had.
    """
    path = Path(spec).expanduser()
    if path.is_file() and not spec.endswith(ARCHIVES):
        return read_stored(path, arch) if path.suffix == SUFFIX else load_npz(path, arch)
    if path.exists():
        return stored_once(stored_path(spec, arch, cache), arch, lambda: _from_module(path, arch))
    address = _address(spec, arch)
    return stored_once(
        stored_path(spec, arch, cache), arch, lambda: _as_released(_from_address(address, arch, cache), address)
    )


def stored_path(spec: str, arch: BitArchitecture, cache: Path | None = None) -> Path:
    """Where the import of a spec is, or will be, stored.

    Raises:
        WeightsError: If the spec names nothing.
    """
    path = Path(spec).expanduser()
    if path.exists():
        # A local module may be replaced under its name; sizes and times tell, without reading it.
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
        key, name = repr(stats), path.resolve().name
    else:
        key = name = _address(spec, arch)
        name = "-".join(name.rstrip("/").split("/")[-2:])
    stem = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)[:60]
    digest = hashlib.sha256(f"{key} {arch}".encode()).hexdigest()[:12]
    return (cache or cache_directory()) / "imported" / f"{stem}-{digest}{SUFFIX}"


def _address(spec: str, arch: BitArchitecture) -> str:
    if spec.startswith(("http://", "https://")):
        return spec
    source = FAMILY.get(spec.lower()) or (source_for(arch) if spec == "tf-hub" else None)
    if source is None or source.architecture != arch:
        raise WeightsError(
            expected="tf-hub, random, an address, or the path of an npz, a SavedModel folder or a stored file",
            found=f"{spec}, which is none of these for architecture {arch.name}, and no file",
            remedy="Correct the name or the path; run --demo needs none.",
        )
    return source.handle


def _as_released(weights: BitWeights, address: str) -> BitWeights:
    """Take back the comparison with BiT-M-R50x1 for what was asked for as another backbone of the same shape."""
    for source in FAMILY.values():
        if address in (source.handle, source.kaggle_handle, source.npz_url) and not has_checksums(source):
            return replace(weights, genuine=None, verification=Verification(None).text)
    return weights


def _from_module(path: Path, arch: BitArchitecture) -> BitWeights:
    if path.is_dir():
        return load_saved_model(path, arch)
    with unpacked(path) as directory:
        return replace(load_saved_model(directory, arch), provenance=f"archive {path.name}")


def _from_address(address: str, arch: BitArchitecture, cache: Path | None) -> BitWeights:
    if address.endswith(".npz"):
        file = download_npz(address, cache)
        try:
            return replace(load_npz(file, arch), provenance=address)
        finally:
            # What came may be an error page, and the next attempt must ask the server again; if it is weights, they
            # are stored without their head, which is two thirds of the file.
            shutil.rmtree(file.parent)
    directory = resolve_handle(address, cache)
    try:
        return replace(load_saved_model(directory, arch), provenance=f"TF-Hub {address}")
    except WeightsError:
        # A wrong module must not answer the next attempt either; a cache that the user set up is left alone.
        if directory.is_relative_to(cache or cache_directory()):
            shutil.rmtree(directory)
        raise
