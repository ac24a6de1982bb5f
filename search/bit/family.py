"""The released BiT backbones: where each comes from, under which licence, and whether given tensors are its own.

Genuine means equal tensor by tensor, by the checksums of the published BiT-M-R50x1 (`checksums.json`); those of the
others are not known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import google_crc32c

from search.bit.architecture import R50X1, R101X1, SMALL, BitArchitecture
from search.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

_PAPER = "Kolesnikov et al. 2020, Big Transfer (BiT): General Visual Representation Learning, ECCV, arXiv:1912.11370"


@dataclass(frozen=True)
class BackboneSource:
    """One released backbone.

    Args:
        name: What `--backbone` takes, for example `bit-m-r50x1`.
        architecture: Its units, width and groups.
        training_data: What it was trained on.
        handle: Its TF-Hub handle.
        kaggle_handle: The same module on Kaggle.
        kaggle_archive: Its archive, as Kaggle's interface for programs has it.
        npz_url: The authors' npz.
        timm_model: Name of timm's conversion on Hugging Face, "" if there is none.
        module_range: Smallest and largest RGB value that the module takes; it converts them to ``input_range`` itself.
        input_range: What the network takes, from the npz and in this package.
        licence: SPDX name.
        citation: The paper.
    """

    name: str
    architecture: BitArchitecture
    training_data: str
    handle: str
    kaggle_handle: str
    kaggle_archive: str
    npz_url: str
    timm_model: str = ""
    module_range: tuple[float, float] = (0.0, 1.0)
    input_range: tuple[float, float] = (-1.0, 1.0)
    licence: str = "Apache-2.0"
    citation: str = _PAPER

    @property
    def places(self) -> dict[str, str]:
        """Source to its place (see `search.bit.sources`), in the order in which they are tried."""
        places = {"tf-hub": self.handle, "kaggle": self.kaggle_archive, "npz": self.npz_url, "timm": self.timm_model}
        return {source: place for source, place in places.items() if place}

    def as_json(self) -> dict[str, Any]:
        """The row by field, the architecture by its name and with its number of parameters."""
        parameters = self.architecture.trained_parameters(self.architecture.max_depth)
        return {**asdict(self), "architecture": self.architecture.name, "parameters": parameters}


def _source(size: str, architecture: BitArchitecture) -> BackboneSource:
    variant = architecture.name.lower()
    data = {"s": "ImageNet-1k (1.28 million images)", "m": "ImageNet-21k (14.2 million images)"}[size]
    return BackboneSource(
        name=f"bit-{size}-{variant}",
        architecture=architecture,
        training_data=data,
        handle=f"https://tfhub.dev/google/bit/{size}-{variant}/1",
        kaggle_handle=f"https://www.kaggle.com/models/google/bit/TensorFlow2/{size}-{variant}/1",
        kaggle_archive=f"https://www.kaggle.com/api/v1/models/google/bit/tensorFlow2/{size}-{variant}/1/download",
        npz_url=f"https://storage.googleapis.com/bit_models/BiT-{size.upper()}-{architecture.name}.npz",
        # Of BiT-S there is none. Others of the same shapes, fine-tuned (…_ft_in1k) or distilled, are other networks.
        timm_model=f"timm/resnetv2_{variant.removeprefix('r')}_bit.goog_in21k" if size == "m" else "",
    )


FAMILY: dict[str, BackboneSource] = {
    source.name: source
    for source in (_source(size, architecture) for size in ("m", "s") for architecture in (R50X1, R101X1))
}
DEFAULT_BACKBONE = "bit-m-r50x1"
SMALL_BACKBONE = "bit-small"
"""Never released; for the demonstration and for trying things out."""


def backbone_source(name: str) -> BackboneSource:
    """The table's row of a `--backbone` name.

    Raises:
        ConfigError: If there is no such backbone.
    """
    try:
        return FAMILY[name.lower()]
    except KeyError:
        raise ConfigError(
            expected=f"one of {', '.join(FAMILY)}",
            found=f"backbone {name!r}",
            remedy="Correct --backbone, or name under [backbone] in tuner_config.toml.",
        ) from None


def architecture_of(name: str) -> BitArchitecture:
    """The architecture of a backbone that the configuration can name."""
    return SMALL if name == SMALL_BACKBONE else backbone_source(name).architecture


@dataclass(frozen=True)
class Verification:
    """Outcome of comparing weights with the published BiT-M-R50x1.

    Args:
        genuine: True if all tensors are the published ones, False if some differ, None if there is nothing to compare.
        differing: Official names of the tensors that differ, in the order of the forward pass.
        n_tensors: How many were compared.
        asked_for: Name of the other backbone that genuine BiT-M-R50x1 tensors were given for, "" if none was.
    """

    genuine: bool | None
    differing: tuple[str, ...] = ()
    n_tensors: int = 0
    asked_for: str = ""

    @property
    def in_short(self) -> str:
        """What speaks against them, in a few words without names of tensors."""
        if self.asked_for:
            return "the tensors of BiT-M-R50x1"
        return f"{len(self.differing)} of {self.n_tensors} tensors not the published ones"

    @property
    def text(self) -> str:
        """The outcome in one line."""
        if self.asked_for:
            return f"warning: these are the genuine BiT-M-R50x1, not {self.asked_for}"
        if self.genuine is None:
            return "not verified: no published checksums for these weights"
        if self.genuine:
            return "verified: genuine BiT-M-R50x1"
        some = f"{len(self.differing)} of {self.n_tensors} tensors differ: {', '.join(self.differing)}"
        which = f"all {self.n_tensors} tensors differ" if len(self.differing) == self.n_tensors else some
        return f"warning: not the genuine BiT-M-R50x1, {which}"


def published_checksums() -> dict[str, int]:
    """Official name to CRC-32C of the little-endian float32 bytes, of the headless `bit/m-r50x1/1` module."""
    text = resources.files("search.bit").joinpath("checksums.json").read_text(encoding="utf-8")
    return {entry["name"]: int(entry["crc32c"], 16) for entry in json.loads(text)["variables"]}


def verify(
    arrays: Mapping[str, np.ndarray], arch: BitArchitecture, published: Mapping[str, int] | None = None
) -> Verification:
    """Compare weights with the published BiT-M-R50x1, tensor by tensor.

    Args:
        arrays: Official name to float32 array.
        arch: Their architecture; only R50x1 has published checksums.
        published: Official name to CRC-32C, those of BiT-M-R50x1 if None.
    """
    if published is None:
        if arch != R50X1:
            return Verification(None)
        published = published_checksums()
    differing = tuple(
        name for name, array in arrays.items() if google_crc32c.value(array.astype("<f4").tobytes()) != published[name]
    )
    return Verification(not differing, differing, len(published))


def verify_backbone(
    name: str,
    arrays: Mapping[str, np.ndarray],
    arch: BitArchitecture,
    published: Mapping[str, int] | None = None,
) -> Verification:
    """Are these the weights of the backbone of that name?

    Args:
        name: Of the backbone; checksums are known of BiT-M-R50x1 alone.
        arrays: Official name to float32 array.
        arch: Their architecture.
        published: Official name to CRC-32C of that backbone; what is known if None.
    """
    outcome = verify(arrays, arch, published)
    if published or name == DEFAULT_BACKBONE:
        return outcome
    return Verification(None, asked_for=name if outcome.genuine else "")
