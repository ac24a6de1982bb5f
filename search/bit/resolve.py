"""The way from what a user names to weights: found, downloaded, proven, verified, and stored for every later run."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from search.bit.architecture import R50X1, BitArchitecture
from search.bit.checkpoint import Matching, match_official, read_npz, read_saved_model
from search.bit.download import cache_directory, download_npz, resolve_handle, unpacked
from search.bit.family import (
    DEFAULT_BACKBONE,
    FAMILY,
    Verification,
    architecture_of,
    verify,
    verify_backbone,
    weights_spec,
)
from search.bit.precision import PrecisionChoice
from search.bit.weights import SUFFIX, BitWeights, fingerprint_of, random_weights, read_stored, stored_once
from search.errors import WeightsError


@dataclass(frozen=True)
class Backbone:
    """The pretrained network, and what it is computed on.

    Attributes:
        architecture: Its architecture.
        weights: Its weights.
        precision: Of its arithmetic.
        device: The device, in words.
    """

    architecture: BitArchitecture
    weights: BitWeights
    precision: PrecisionChoice
    device: str


ARCHIVES = (".tar.gz", ".tgz", ".tar")


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


def import_folder(spec: str, arch: BitArchitecture, cache: Path | None = None) -> Path | None:
    """Where the import of a spec will be written; None where it was before, or the file is read where it lies.

    Raises:
        WeightsError: If the spec names nothing.
    """
    stored = stored_path(spec, arch, cache)
    is_read_in_place = Path(spec).expanduser().is_file() and not spec.endswith(ARCHIVES)
    return None if is_read_in_place or stored.is_file() else stored.parent


def _address(spec: str, arch: BitArchitecture) -> str:
    if spec.startswith(("http://", "https://")):
        return spec
    # BiT-M stands before BiT-S.
    released = (source for source in FAMILY.values() if source.architecture == arch)
    source = next((source for source in released if spec.lower() in ("tf-hub", source.name)), None)
    if source is None:
        raise WeightsError(
            expected="tf-hub, random, an address, or the path of an npz, a SavedModel folder or a stored file",
            found=f"{spec}, which is none of these for architecture {arch.name}, and no file",
            remedy="Correct the name or the path; run --demo needs none.",
        )
    return source.handle


def _as_released(weights: BitWeights, address: str) -> BitWeights:
    """Take back the comparison with BiT-M-R50x1 for what was asked for as another backbone of the same shape."""
    others = (source for source in FAMILY.values() if source.name != DEFAULT_BACKBONE)
    if any(address in (source.handle, source.kaggle_handle, source.npz_url) for source in others):
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


def resolve_weights(
    spec: str, arch: BitArchitecture = R50X1, seed: int = 0, *, cache: Path | None = None
) -> BitWeights:
    """What a user may write after `--weights`, as weights.

    What takes time (a download, a SavedModel) is done once and its result stored as safetensors; an npz or safetensors
    file that the user names is read where it lies.

    Args:
        spec: `tf-hub` (the released module of this architecture), `random`, a backbone's name such as `bit-m-r50x1`,
            a path (npz, SavedModel folder, TF-Hub .tar.gz, stored .safetensors), or an address (`https://…`).
        arch: The architecture to fill.
        seed: For `random`.
        cache: Where downloads and imports are kept; the user's cache folder if None.

    Raises:
        WeightsError: If the weights can't be had; nothing is ever replaced silently by something else.
    """
    path = Path(spec).expanduser()
    if spec == "random":
        return random_weights(arch, seed)
    if path.is_file() and not spec.endswith(ARCHIVES):
        return read_stored(path, arch) if path.suffix == SUFFIX else load_npz(path, arch)
    stored = stored_path(spec, arch, cache)
    if path.exists():
        return stored_once(stored, arch, lambda: _from_module(path, arch))
    address = _address(spec, arch)
    return stored_once(stored, arch, lambda: _as_released(_from_address(address, arch, cache), address))


def backbone_weights(backbone: str, spec: str, *, seed: int = 0, cache: Path | None = None) -> BitWeights:
    """The weights of a configured backbone, compared anew with the published ones.

    What a stored file says about itself is not taken on trust.

    Args:
        backbone: A name of `search.bit.family`.
        spec: As for `resolve_weights`; `tf-hub` means what that backbone was released with.
        seed: For `random`.
        cache: Where downloads and imports are kept; the user's cache folder if None.

    Raises:
        WeightsError: If the weights can't be had.
    """
    arch = architecture_of(backbone)
    weights = resolve_weights(weights_spec(backbone, spec), arch, seed, cache=cache)
    if spec == "random":
        return weights
    verification = verify_backbone(backbone, weights.arrays, arch)
    return replace(weights, genuine=verification.genuine, verification=verification.text)
