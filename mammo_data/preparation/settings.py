"""Settings of preparation, crops and augmentation: what is constant within a search."""

from __future__ import annotations

from dataclasses import dataclass

FILM_SIDE = 1024
"""Pixels of 0.2 mm along the side of a MIAS film; a window's size counts in these, whatever a film's own resolution."""


@dataclass(frozen=True)
class RoiSettings:
    """How crops are cut; constant within a search.

    Attributes:
        window: Side of the window in pixels of 0.2 mm; 192 to 256 suits MIAS.
        jitter: Largest shift of the window in training views, as a part of its side.
        strict_normals: Take normal crops from women without any finding only, not from affected women's other breasts.
        seed: Of the normal centres and of the jitter.
    """

    window: int = 256
    jitter: float = 0.1
    strict_normals: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 8 <= self.window <= FILM_SIDE or not 0 <= self.jitter <= 0.5:
            raise ValueError(
                f"window must be 8 to {FILM_SIDE} and jitter 0 to 0.5; received {self.window} and {self.jitter}"
            )


@dataclass(frozen=True)
class PreparationSettings:
    """How films become the arrays that a search reads; constant within a search.

    Attributes:
        image_size: Side of the square canvas in pixels.
        crop: Crop to the breast's bounding box; a median lesion is 9 px at 224 px otherwise.
        remove_labels: Blacken what lies off the breast (labels, wedges, white frames, stray pixels), with a margin of
            2 % of the film's longer side around the mask.
        clahe: Equalise contrast locally, see `equalise_contrast`.
        clahe_limit: How steep the local grey curve may get, relative to one that changes nothing; above 0.
    """

    image_size: int = 448
    crop: bool = True
    remove_labels: bool = True
    clahe: bool = False
    clahe_limit: float = 2.0

    def __post_init__(self) -> None:
        if not 8 <= self.image_size <= 4096:
            raise ValueError(f"image_size must be 8 to 4096 pixels; received {self.image_size}")
        if not 0 < self.clahe_limit < float("inf"):
            raise ValueError(f"clahe_limit must be above 0; received {self.clahe_limit}")


@dataclass(frozen=True)
class AugmentationSettings:
    """How far a view may differ from its image.

    Attributes:
        strength: Factor on all ranges below; 0 switches augmentation off, flips included.
        vertical_flip: Probability of a mirror image upside down.
        horizontal_flip: Probability of a left-right mirror image. 0, for the chest wall is always at the left.
        rotation: Largest turn to either side, in degrees.
        scale: Largest relative change of size.
        translation: Largest shift, as a part of the side.
        contrast: Largest relative change of contrast about the breast's own mean.
        brightness: Largest shift of brightness, in grey levels of 255, where the image is not black.
        gamma: Largest change of the logarithm of gamma.
        elastic: Largest displacement of the elastic deformation, as a part of the side.
    """

    strength: float = 1.0
    vertical_flip: float = 0.5
    horizontal_flip: float = 0.0
    rotation: float = 12.0
    scale: float = 0.10
    translation: float = 0.04
    contrast: float = 0.15
    brightness: float = 12.0
    gamma: float = 0.20
    elastic: float = 0.01

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be 0 or more; received {value}")
        if self.strength * self.scale >= 1:
            raise ValueError(f"strength × scale must stay below 1; received {self.strength * self.scale}")
