"""The demonstration: the whole job on synthetic mammograms and a small random backbone, in minutes and offline."""

from __future__ import annotations

from pathlib import Path

from search.config.schema import BackboneSection, Config, PreparationSection, SearchSection
from search.errors import ConfigError

PATIENTS = 160
FILM_SIZE = 256
PHANTOM_SEED = 0
NOTICE = "DEMONSTRATION on synthetic images and random weights; its figures say nothing about mammography."


def demo_config() -> Config:
    """The configuration of ``run --demo``; flags and a file given with --config still change it."""
    return Config(
        preparation=PreparationSection(image_size=96),
        backbone=BackboneSection(name="bit-small", weights="random"),
        search=SearchSection(max_trials=16, max_epochs=18, precision="float32"),
    )


def require_no_data(data: Path | None, info: Path | None) -> None:
    """Refuse data that a demonstration would leave aside.

    Args:
        data: --data, if it was given.
        info: --info, if it was given.

    Raises:
        ConfigError: If either was.
    """
    if data or info:
        raise ConfigError(expected="--demo or --data", found="both", remedy="Leave one out: --demo draws its films.")


def demo_data(cache: Path) -> Path:
    """The synthetic data set, written once into the cache folder."""
    from mammo_data.phantom.dataset import write_phantom

    return write_phantom(
        cache / f"phantom-{PATIENTS}-{FILM_SIZE}-{PHANTOM_SEED}",
        patients=PATIENTS,
        seed=PHANTOM_SEED,
        image_size=FILM_SIZE,
    )
