"""The released BiT backbones: where each comes from, under which licence, and what input it was trained for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from search.bit.architecture import R50X1, R101X1, SMALL, BitArchitecture
from search.errors import ConfigError

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
        npz_url: The authors' npz.
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
    npz_url: str
    module_range: tuple[float, float] = (0.0, 1.0)
    input_range: tuple[float, float] = (-1.0, 1.0)
    licence: str = "Apache-2.0"
    citation: str = _PAPER

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
        npz_url=f"https://storage.googleapis.com/bit_models/BiT-{size.upper()}-{architecture.name}.npz",
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


def has_checksums(source: BackboneSource) -> bool:
    """Whether the published tensors' checksums are known (`bit_checksums.json`)."""
    return source.name == DEFAULT_BACKBONE


def source_for(arch: BitArchitecture) -> BackboneSource | None:
    """The BiT-M row of an architecture, or None for one that was never released."""
    return next((source for source in FAMILY.values() if source.architecture == arch), None)


def architecture_of(name: str) -> BitArchitecture:
    """The architecture of a backbone that the configuration can name."""
    return SMALL if name == SMALL_BACKBONE else backbone_source(name).architecture


def weights_spec(backbone: str, weights: str) -> str:
    """What `search.bit.resolve.resolve_weights` is to look for: `tf-hub` means what the backbone was released with."""
    return backbone if weights == "tf-hub" and backbone in FAMILY else weights
