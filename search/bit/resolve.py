"""Weights from outside, imported once: found, downloaded, proven, verified and stored for every later run."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from search.bit.architecture import R50X1, BitArchitecture
from search.bit.checkpoint import match_official, read_npz, read_saved_model
from search.bit.download import cache_directory, download_npz, resolve_handle, unpacked
from search.bit.family import FAMILY, architecture_of, has_checksums, source_for, weights_spec
from search.bit.store import SUFFIX, read_stored, stored_once
from search.bit.verification import Verification
from search.bit.weights import BitWeights, fingerprint_of, random_weights
from search.errors import WeightsError

if TYPE_CHECKING:
    pass


ARCHIVES = (".tar.gz", ".tgz", ".tar")


def imported_weights(spec: str, arch: BitArchitecture, cache: Path | None = None) -> BitWeights:
    """Weights from a handle, an address or a path.

    What takes time (a download, a SavedModel's forward pass) is done once and its result stored as safetensors; an npz
    or safetensors file that the user names is read where it lies.

    Args:
        spec: As for `search.bit.resolve.resolve_weights`, without `random`.
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


def load_npz(path: Path, arch: BitArchitecture = R50X1) -> BitWeights:
    """Weights from an npz with the official names, with or without prefix and head, checked against the published.

    Raises:
        WeightsError: If the file can't be read or does not fit the architecture.
    """
    matching = match_official(read_npz(path), arch, path.name)
    if not matching.by_name:
        raise WeightsError(
            expected=f"BiT's official variable names in {path}",
            found="other names",
            remedy="Name the authors' npz, or a SavedModel, whose forward pass can prove the order, with --weights.",
        )
    return verified(matching.candidates[0], arch, f"npz {path.name}")


def load_saved_model(directory: Path, arch: BitArchitecture = R50X1) -> BitWeights:
    """Weights from a SavedModel folder: by name, else by order and shape, then proven by its own forward pass.

    Args:
        directory: The folder that holds `saved_model.pb`.
        arch: The architecture to fill.

    Raises:
        WeightsError: If the folder can't be read or does not fit the architecture, or if our features differ from
            the module's by 1e-4 or more.
    """
    from search.bit.verification import FORWARD_AGREEMENT, published_forward

    matching = match_official(read_saved_model(directory), arch, directory.name)
    source = f"SavedModel {directory.name}"
    try:
        forward = published_forward(directory)
    except WeightsError:
        # What is genuine tensor by tensor needs no program of its own to prove it.
        found = verified(matching.candidates[0], arch, source)
        if matching.by_name and found.genuine:
            return found
        raise
    if forward is None:
        if matching.by_name:
            return verified(matching.candidates[0], arch, source)
        raise WeightsError(
            expected=f"named variables, or a forward pass that proves their order, in {directory}",
            found="neither",
            remedy="Use TF-Hub's own module or the authors' npz with --weights.",
        )
    deviations = []
    for candidate in matching.candidates:
        deviations.append(forward.deviation(candidate, arch))
        if deviations[-1] < FORWARD_AGREEMENT:
            return verified(candidate, arch, f"{source}, features within {deviations[-1]:.1g} of its own")
    raise WeightsError(
        expected=f"features within {FORWARD_AGREEMENT} of the module's own",
        found=f"a difference of {min(deviations):.3g} in {directory}",
        remedy="The module is no BiT of this architecture, or damaged: fetch it again, or name another with --weights.",
    )


def resolve_weights(
    spec: str, arch: BitArchitecture = R50X1, seed: int = 0, *, cache: Path | None = None
) -> BitWeights:
    """What a user may write after `--weights`, as weights.

    Args:
        spec: `tf-hub` (the released module of this architecture), `random`, a backbone's name such as `bit-m-r50x1`,
            a path (npz, SavedModel folder, TF-Hub .tar.gz, stored .safetensors), or an address (`https://…`).
        arch: The architecture to fill.
        seed: For `random`.
        cache: Where downloads and imports are kept; the user's cache folder if None.

    Raises:
        WeightsError: If the weights can't be had; nothing is ever replaced silently by something else.
    """
    if spec == "random":
        return random_weights(arch, seed)

    return imported_weights(spec, arch, cache)


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
    from search.bit.verification import verify_backbone

    arch = architecture_of(backbone)
    weights = resolve_weights(weights_spec(backbone, spec), arch, seed, cache=cache)
    if spec == "random":
        return weights
    verification = verify_backbone(backbone, weights.arrays, arch)
    return replace(weights, genuine=verification.genuine, verification=verification.text)


def verified(arrays: Mapping[str, np.ndarray], arch: BitArchitecture, provenance: str) -> BitWeights:
    """Arrays as weights, with fingerprint and the outcome of comparing them with the published BiT-M-R50x1."""
    from search.bit.verification import verify

    verification = verify(arrays, arch)
    return BitWeights(arrays, fingerprint_of(arrays), provenance, verification.genuine, verification.text)
