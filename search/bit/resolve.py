"""The way from what a user names to weights: found, downloaded, proven, verified, and stored for every later run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mammo_data.fetch.transfer import Limits
from search.bit.architecture import R50X1, BitArchitecture
from search.bit.carried import load_weights
from search.bit.family import (
    DEFAULT_BACKBONE,
    FAMILY,
    BackboneSource,
    Verification,
    architecture_of,
    verify_backbone,
)
from search.bit.precision import PrecisionChoice
from search.bit.sources import ALTERNATIVES, LIMITS, Progress, cache_directory, described, fetched, is_address
from search.bit.weights import SUFFIX, BitWeights, random_weights, stored_once
from search.errors import WeightsError

AUTO = "auto"
"""Each source of a backbone in turn, until one gives the published tensors."""


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


def stored_paths(backbone: str, spec: str, cache: Path | None = None) -> tuple[Path, ...]:
    """Where the weights that a configuration names are, or will be, stored, in the order in which they are looked for.

    What the user has is read where it lies; `random` has no place.

    Args:
        backbone: A name that the configuration can have.
        spec: As for `backbone_weights`.
        cache: Where imports are kept; the user's cache folder if None.

    Raises:
        WeightsError: If the spec names nothing.
    """
    arch, path, places = architecture_of(backbone), Path(spec).expanduser(), _places(backbone)
    if spec == "random":
        return ()
    if spec == AUTO and places:
        return tuple(_stored_path(place, arch, cache) for place in places.values())
    if spec in places or is_address(spec):
        return (_stored_path(places.get(spec, spec), arch, cache),)
    if not path.exists():
        raise _names_nothing(spec, (AUTO, *places) if places else ())
    return (path,)


def import_folder(backbone: str, spec: str, cache: Path | None = None) -> Path | None:
    """Where weights that are downloaded will be written; None where that was done before, or nothing is downloaded.

    Raises:
        WeightsError: If the spec names nothing.
    """
    is_read_in_place = not is_address(spec) and Path(spec).expanduser().exists()
    stored = () if is_read_in_place else stored_paths(backbone, spec, cache)
    return stored[0].parent if stored and not any(path.is_file() for path in stored) else None


def _places(backbone: str) -> dict[str, str]:
    return FAMILY[backbone].places if backbone in FAMILY else {}


def _names_nothing(spec: str, sources: tuple[str, ...]) -> WeightsError:
    return WeightsError(
        expected=f"{', '.join((*sources, 'random'))}, an address, or the path of an npz, a SavedModel folder, its "
        "archive or a safetensors file",
        found=f"{spec}, which is none of these for this backbone, and no file",
        remedy="Correct the name or the path; run --demo needs none.",
    )


def _stored_path(place: str, arch: BitArchitecture, cache: Path | None) -> Path:
    name = "-".join(place.rstrip("/").split("/")[-2:])
    stem = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)[:60]
    digest = hashlib.sha256(f"{place} {arch}".encode()).hexdigest()[:12]
    return (cache or cache_directory()) / "imported" / f"{stem}-{digest}{SUFFIX}"


def resolve_weights(
    spec: str,
    arch: BitArchitecture = R50X1,
    seed: int = 0,
    *,
    cache: Path | None = None,
    limits: Limits = LIMITS,
    progress: Progress | None = None,
) -> BitWeights:
    """Weights by an address, a path, or drawn.

    What is downloaded is stored as safetensors, once; what the user has is read where it lies.

    Args:
        spec: `random`, a path (see `search.bit.carried.load_weights`), or an address (`https://…`): a TF-Hub or Kaggle
            handle, or a file's.
        arch: The architecture to fill.
        seed: For `random`.
        cache: Where downloads and imports are kept; the user's cache folder if None.
        limits: What a download may take.
        progress: Is told how far a download is.

    Raises:
        WeightsError: If the weights can't be had; nothing is ever replaced silently by something else.
    """
    if spec == "random":
        return random_weights(arch, seed)
    path = Path(spec).expanduser()
    if is_address(spec):
        return _from_place(spec, arch, cache, limits, progress)
    if not path.exists():
        raise _names_nothing(spec, ())
    return load_weights(path, arch)


def _from_place(
    place: str, arch: BitArchitecture, cache: Path | None, limits: Limits, progress: Progress | None
) -> BitWeights:
    def fetch() -> BitWeights:
        with fetched(place, cache, limits=limits, progress=progress) as file:
            return _as_released(replace(load_weights(file, arch), provenance=described(place)), place)

    return stored_once(_stored_path(place, arch, cache), arch, fetch)


def _as_released(weights: BitWeights, place: str) -> BitWeights:
    """Take back the comparison with BiT-M-R50x1 for what was asked for as another backbone of the same shape."""
    others = (row for row in FAMILY.values() if row.name != DEFAULT_BACKBONE)
    if any(place in (*row.places.values(), row.kaggle_handle) for row in others):
        return replace(weights, genuine=None, verification=Verification(None).text)
    return weights


def backbone_weights(
    backbone: str,
    spec: str,
    *,
    seed: int = 0,
    cache: Path | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> BitWeights:
    """The weights of a configured backbone, compared anew with the published ones.

    What a stored file says about itself is not taken on trust.

    Args:
        backbone: A name of `search.bit.family`.
        spec: `auto` (the first of the backbone's sources that gives the published tensors), one of its sources
            (`tf-hub`, `kaggle`, `npz`, `timm`), or as for `resolve_weights`.
        seed: For `random`.
        cache: Where downloads and imports are kept; the user's cache folder if None.
        progress: Is told how far a download is.
        say: Is told which source answered and why those before it did not.

    Raises:
        WeightsError: If the weights can't be had.
    """
    stored_paths(backbone, spec, cache)  # refuses what names nothing
    arch, places = architecture_of(backbone), _places(backbone)
    if spec == "random":
        return random_weights(arch, seed)
    if spec == AUTO:
        return first_genuine(FAMILY[backbone], cache=cache, progress=progress, say=say)
    if spec in places:
        weights = _from_place(places[spec], arch, cache, LIMITS, progress)
    else:
        weights = resolve_weights(spec, arch, cache=cache, progress=progress)
    found = verify_backbone(backbone, weights.arrays, arch)
    return replace(weights, genuine=found.genuine, verification=found.text)


def first_genuine(
    row: BackboneSource,
    *,
    published: Mapping[str, int] | None = None,
    cache: Path | None = None,
    limits: Limits = LIMITS,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> BitWeights:
    """The published tensors of a backbone from the store, else from the first of its sources that gives them.

    Where nobody knows the published checksums, the first source that gives tensors is taken, called "not verified".

    Args:
        row: The backbone and its sources.
        published: Official name to CRC-32C; what is known of that backbone if None.
        cache: Where downloads and imports are kept; the user's cache folder if None.
        limits: What each download may take.
        progress: Is told how far a download is.
        say: Is told which source answered and why those before it did not.

    Raises:
        WeightsError: If none of them gives the published tensors; what each gave is said, and tensors are kept.
    """
    arch, gave = row.architecture, dict[str, str]()
    there = {source: _stored_path(place, arch, cache) for source, place in row.places.items()}
    # Whatever is here is looked at before anybody is asked.
    for source in sorted(row.places, key=lambda source: not there[source].is_file()):
        try:
            weights = _from_place(row.places[source], arch, cache, limits, progress)
        except WeightsError as error:
            gave[source] = " ".join(error.found.split())
            continue
        found = verify_backbone(row.name, weights.arrays, arch, published)
        if found.genuine or (found.genuine is None and not found.asked_for):
            if gave and say is not None:
                say("; ".join((f"from {source}", *(f"{other} gave {why}" for other, why in gave.items()))))
            return replace(weights, genuine=found.genuine, verification=found.text)
        gave[source] = f"{found.in_short}, kept as {there[source]}"
    kept = next((source for source in row.places if there[source].is_file()), "")
    remedy = f'To use what {kept} gave all the same: --weights {kept} (backbone.weights = "{kept}").' if kept else ""
    raise WeightsError(
        expected=f"the published tensors of {row.name} from one of {', '.join(row.places)}",
        found="; ".join(f"{source}: {gave[source]}" for source in row.places),
        remedy=f"{remedy} {ALTERNATIVES}",
    )
