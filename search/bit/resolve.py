"""The way from what a user names to weights: found, downloaded, proven, verified, and stored for every later run."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from search.bit.architecture import R50X1, BitArchitecture
from search.bit.carried import load_weights
from search.bit.download import cache_directory, download_npz, resolve_handle
from search.bit.family import (
    DEFAULT_BACKBONE,
    FAMILY,
    Verification,
    architecture_of,
    verify_backbone,
    weights_spec,
)
from search.bit.precision import PrecisionChoice
from search.bit.weights import SUFFIX, BitWeights, random_weights, stored_once
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


def _from_address(address: str, arch: BitArchitecture, cache: Path | None) -> BitWeights:
    if address.endswith(".npz"):
        file = download_npz(address, cache)
        try:
            return replace(load_weights(file, arch), provenance=address)
        finally:
            # What came may be an error page, and the next attempt must ask the server again; if it is weights, they
            # are stored without their head, which is two thirds of the file.
            shutil.rmtree(file.parent)
    directory = resolve_handle(address, cache)
    try:
        return replace(load_weights(directory, arch), provenance=f"TF-Hub {address}")
    except WeightsError:
        # A wrong module must not answer the next attempt either; a cache that the user set up is left alone.
        if directory.is_relative_to(cache or cache_directory()):
            shutil.rmtree(directory)
        raise


def resolve_weights(
    spec: str, arch: BitArchitecture = R50X1, seed: int = 0, *, cache: Path | None = None
) -> BitWeights:
    """What a user may write after `--weights`, as weights.

    What is downloaded is stored as safetensors, once; what the user has is read where it lies.

    Args:
        spec: `tf-hub` (the released module of this architecture), `random`, a backbone's name such as `bit-m-r50x1`,
            a path (see `search.bit.carried.load_weights`), or an address (`https://…`).
        arch: The architecture to fill.
        seed: For `random`.
        cache: Where downloads and imports are kept; the user's cache folder if None.

    Raises:
        WeightsError: If the weights can't be had; nothing is ever replaced silently by something else.
    """
    path = Path(spec).expanduser()
    if spec == "random":
        return random_weights(arch, seed)
    if path.exists():
        return load_weights(path, arch)
    stored = stored_path(spec, arch, cache)
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
