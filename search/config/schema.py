"""The schema of tuner_config.toml: every setting, its default, its range and what it means.

Unknown keys are forbidden. Sections are frozen: a run's configuration is written into its folder as it was resolved
and never changes. `search.config.reading` reads the file, `search.config.writing` writes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

import mammo_data
from search.bit.family import architecture_of


def _no_truth(kind: str) -> BeforeValidator:
    """Refuses true and false, which Python takes for 1 and 0, as pydantic refuses a text."""

    def check(value: Any) -> Any:
        if isinstance(value, bool):
            raise PydanticCustomError(kind, "expected a number")
        return value

    return BeforeValidator(check)


Whole = Annotated[int, _no_truth("int_type")]
Number = Annotated[float, _no_truth("float_type")]


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSection(Section):
    """Where the mammograms are."""

    path: Path = Path("data/images")
    """Folder, archive or HDF5 file with the images and Info.txt, or a folder with a cases.csv."""
    info: Path | None = None
    """Info.txt, where it does not lie with the images."""
    classes: tuple[str, ...] = ()
    """Labels of a cases.csv from harmless to worst, where `mammo_data.truth.class_words` does not know them."""
    mode: Literal["whole", "roi"] = "whole"
    """Whole images, or crops around lesions and like ones from normal breasts: an easier task, the place is given."""
    accept_problems: bool = False
    """Whether a run takes a set that `data check` finds something wrong with: it is refused otherwise."""


class SplitSection(Section):
    """Which patients are held out, and the folds of the others."""

    protocol: Literal["holdout", "nested"] = "holdout"
    """"holdout" sets patients aside once; "nested" searches anew for each of `outer_folds` parts of all patients, and
    once more on all of them for the model."""
    outer_folds: Annotated[Whole, Field(ge=2, le=20)] = 5
    """Patient-grouped outer folds of the nested protocol; each is evaluated by a search on the others."""
    test_fraction: Annotated[Number, Field(gt=0, lt=0.9)] = 0.25
    folds: Annotated[Whole, Field(ge=2, le=20)] = 5
    """Patient-grouped folds of the development patients; `search.folds` says how many of them a trial uses."""
    seed: Annotated[Whole, Field(ge=0)] = 0
    """Apart from `search.seed`, so that another search seed keeps the same test patients."""
    file: Path | None = None
    """A split.csv of an earlier run (nested: an outer_split.csv), used as it is instead of drawing one."""


class PreparationSection(Section):
    """From the film to the prepared image."""

    image_size: Annotated[Whole, Field(ge=32, le=1024)] = 448
    """224 to 896 make sense; less is for trying things out."""
    crop: bool = True
    """Crop to the breast."""
    remove_labels: bool = True
    """Blacken labels, wedges and frames off the breast."""
    clahe: bool = False
    """Equalise contrast locally."""
    clahe_limit: Annotated[Number, Field(gt=0, le=100)] = 2.0

    def settings(self) -> mammo_data.PreparationSettings:
        """As `mammo_data` takes them."""
        return mammo_data.PreparationSettings(**self.model_dump())


class RoiSection(Section):
    """Crops, where `data.mode` is "roi"."""

    window: Annotated[Whole, Field(ge=32, le=1024)] = 256
    """Side in pixels of 0.2 mm, the same for every class."""
    jitter: Annotated[Number, Field(ge=0, le=0.5)] = 0.1
    """Largest shift of the window in training views, as a part of its side."""
    strict_normals: bool = False
    """Normal crops from women without any finding only."""
    seed: Annotated[Whole, Field(ge=0)] = 0
    """Of the normal crops' centres."""

    def settings(self) -> mammo_data.RoiSettings:
        """As `mammo_data` takes them."""
        return mammo_data.RoiSettings(**self.model_dump())


class AugmentationSection(Section):
    """Random views of training images; validation and test images are never augmented."""

    strength: Annotated[Number, Field(ge=0, le=3)] = 1.0
    """Factor on all transforms; 0 switches them off. Each is described in `mammo_data.training.augmentation`."""
    vertical_flip: Annotated[Number, Field(ge=0, le=1)] = 0.5
    horizontal_flip: Annotated[Number, Field(ge=0, le=1)] = 0.0
    rotation: Annotated[Number, Field(ge=0, le=180)] = 12.0
    scale: Annotated[Number, Field(ge=0, lt=1)] = 0.10
    translation: Annotated[Number, Field(ge=0, le=0.5)] = 0.04
    contrast: Annotated[Number, Field(ge=0, lt=1)] = 0.15
    brightness: Annotated[Number, Field(ge=0, le=128)] = 12.0
    gamma: Annotated[Number, Field(ge=0, le=2)] = 0.20
    elastic: Annotated[Number, Field(ge=0, le=0.1)] = 0.01
    views: Annotated[Whole, Field(ge=1, le=256)] = 4
    """Stored views of an image of the most frequent class; rarer classes get proportionally more."""
    most_views: Annotated[Whole, Field(ge=1, le=256)] = 16

    @model_validator(mode="after")
    def _invertible(self) -> AugmentationSection:
        if self.strength * self.scale >= 1:
            raise ValueError(f"expected strength × scale below 1; found {self.strength} × {self.scale}")
        return self

    def settings(self) -> mammo_data.AugmentationSettings:
        """As `mammo_data` takes them."""
        return mammo_data.AugmentationSettings(**self.model_dump(exclude={"views", "most_views"}))


class BackboneSection(Section):
    """The pretrained network."""

    name: Literal["bit-m-r50x1", "bit-s-r50x1", "bit-m-r101x1", "bit-s-r101x1", "bit-small"] = "bit-m-r50x1"
    """BiT-M is pretrained on ImageNet-21k, BiT-S on ImageNet-1k; bit-small was never released and is for trying out."""
    weights: str = "auto"
    """"auto" (the first source that gives the published tensors of `name`), "tf-hub", "kaggle", "npz", "timm",
    "random", an address, or the path of a file or folder."""
    weights_seed: Annotated[Whole, Field(ge=0)] = 0
    """Seed of random weights."""


class Interval(Section):
    """A continuous range."""

    min: Number
    max: Number
    sampling: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        if self.min > self.max or (self.sampling == "log" and self.min <= 0):
            raise ValueError(f"expected min <= max, and min > 0 for log sampling; found min={self.min}, max={self.max}")
        return self


class KnownConfiguration(Section):
    """A configuration to try before the drawn ones."""

    head_width: Annotated[Whole, Field(ge=1, le=8192)]
    dropout: Annotated[Number, Field(ge=0, lt=1)]
    l2: Annotated[Number, Field(ge=0)]
    learning_rate: Annotated[Number, Field(gt=0)]
    unfreeze_depth: Annotated[Whole, Field(ge=0, le=64)]


HeadWidths = Annotated[tuple[Annotated[Whole, Field(ge=1, le=8192)], ...], Field(min_length=1)]


class SpaceSection(Section):
    """The five hyperparameters that are searched."""

    head_width: HeadWidths = (64, 128, 256, 512, 1024)
    dropout: Interval = Interval(min=0.0, max=0.6)
    l2: Interval = Interval(min=1e-6, max=1e-2, sampling="log")
    learning_rate: Interval = Interval(min=1e-4, max=1e-2, sampling="log")
    unfreeze_depth: Annotated[tuple[Annotated[Whole, Field(ge=0, le=64)], ...], Field(min_length=1)] = (0, 1, 2, 3)
    """Residual units that are trained, counted from the end; 0 trains the head alone."""
    known: tuple[KnownConfiguration, ...] = ()
    """Tried first, in this order; no more than the plan has configurations. They may lie outside the ranges."""

    @model_validator(mode="after")
    def _meaningful(self) -> SpaceSection:
        for name, sound, range_ in (
            ("dropout", self.dropout.min >= 0 and self.dropout.max < 1, "0 <= min and max < 1"),
            ("l2", self.l2.min >= 0, "min >= 0"),
            ("learning_rate", self.learning_rate.min > 0, "min > 0"),
        ):
            if not sound:
                found: Interval = getattr(self, name)
                raise ValueError(f"space.{name}: expected {range_}; found min={found.min}, max={found.max}")
        return self

    @property
    def depths(self) -> tuple[int, ...]:
        """All unfreeze depths that a search may train, ascending."""
        return tuple(sorted({*self.unfreeze_depth, *(known.unfreeze_depth for known in self.known)}))


class SearchSection(Section):
    """Hyperband and the training of a trial."""

    tuner: Literal["hyperband", "random", "bayesian"] = "hyperband"
    """Random and Bayesian search train every trial at the full budget."""
    max_trials: Annotated[Whole, Field(ge=1, le=100_000)] = 40
    max_minutes: Annotated[Number, Field(gt=0)] | None = None
    """No trial is started after so many minutes, those before an interruption included; None: no bound. The searches of
    a nested run get equal shares of it."""
    max_epochs: Annotated[Whole, Field(ge=1, le=10_000)] = 30
    factor: Annotated[Whole, Field(ge=2, le=16)] = 3
    folds: Annotated[Whole, Field(ge=1, le=20)] | None = None
    """Folds that every trial is cross-validated on; None: all of `split.folds`; 1: a single validation split."""
    batch_size: Annotated[Whole, Field(ge=2, le=4096)] = 32
    steps_per_epoch: Annotated[Whole, Field(ge=1)] | None = None
    """None: as many as show each training image once, on average."""
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    schedule: Literal["constant", "cosine", "bit"] = "cosine"
    """Functions of step / full-budget steps; the decays warm up first, "bit" divides by ten at 2/5, 3/5 and 4/5."""
    head_init: Literal["glorot", "zeros"] = "zeros"
    """Start of the last layer; BiT's own fine-tuning starts from zeros."""
    backbone_lr_factor: Annotated[Number, Field(gt=0, le=100)] = 1.0
    """Factor on the learning rate of the unfrozen backbone variables; the head's is 1."""
    backbone_lr_cap: Annotated[Number, Field(gt=0, le=1e6)] = 10.0
    """Peak rate of the unfrozen backbone at most, in units of BiT's own: 0.003 for a batch of 512, in proportion."""
    precision: Literal["auto", "float32", "bfloat16-tail", "bfloat16"] = "auto"
    """Arithmetic of the backbone in the search; see `search.precision`. Weights and statistics are float32 always."""
    minority: Literal["balanced", "class_weights", "logit_adjustment", "none"] = "balanced"
    """What is done for rare classes, in training folds only and from their labels alone."""
    seed: Annotated[Whole, Field(ge=0)] = 0
    deterministic: bool = True
    """Deterministic operations: the same seed gives the same bits on one machine; costs nothing on a CPU."""


class RetrainSection(Section):
    """The final model."""

    seeds: Annotated[Whole, Field(ge=1, le=20)] = 3
    """Models trained from different seeds; the first is exported, the spread of all is reported."""


class ReportSection(Section):
    """report.html."""

    embed_images: bool = False
    """Put pictures of held-out images into the file. It is made to be passed on, and a data set's licence may forbid
    that; without them they lie beside it in figures/localisation."""


class CacheSection(Section):
    """Boundary banks on disk."""

    max_gb: Annotated[Number, Field(ge=0)] = 20.0
    """Budget of all banks in GB (10^9 bytes). Over it: fewer views first, then depths are recomputed when read."""


class OutputSection(Section):
    """Where things go."""

    runs: Path = Path("runs")
    """Folder of all runs; it may be a network drive, see `search/run_folder/README.md`."""
    cache: Path | None = None
    """Prepared images and boundary banks; None: the user's cache folder. Best on a local disk: a search reads banks at
    random all the time."""


class Config(Section):
    """A whole tuner_config.toml."""

    data: DataSection = DataSection()
    split: SplitSection = SplitSection()
    preparation: PreparationSection = PreparationSection()
    roi: RoiSection = RoiSection()
    augmentation: AugmentationSection = AugmentationSection()
    backbone: BackboneSection = BackboneSection()
    space: SpaceSection = SpaceSection()
    search: SearchSection = SearchSection()
    retrain: RetrainSection = RetrainSection()
    report: ReportSection = ReportSection()
    cache: CacheSection = CacheSection()
    output: OutputSection = OutputSection()

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if self.search.folds is not None and self.search.folds > self.split.folds:
            raise ValueError(
                f"search.folds: expected at most split.folds = {self.split.folds}; found {self.search.folds}"
            )
        deepest = architecture_of(self.backbone.name).max_depth
        if max(self.space.depths) > deepest:
            raise ValueError(
                f"space.unfreeze_depth: expected at most {deepest} for {self.backbone.name}; "
                f"found {max(self.space.depths)}"
            )
        return self


def cache_directory(config: Config) -> Path:
    """Where prepared images, banks and synthetic data are kept."""
    return config.output.cache or Path(platformdirs.user_cache_dir("mammo-search"))


def demo_config() -> Config:
    """The configuration of ``run --demo``; flags and a file given with --config still change it.

    Its weights are random: there is nothing pretrained that a small rate would save, and much to learn. Three folds,
    two units at most and 12 epochs let it end within two minutes.
    """
    space = SpaceSection()
    rates = space.learning_rate.model_copy(update={"max": 2e-2})
    return Config(
        space=space.model_copy(update={"learning_rate": rates, "unfreeze_depth": (0, 1, 2)}),
        preparation=PreparationSection(image_size=96),
        split=SplitSection(folds=3),
        backbone=BackboneSection(name="bit-small", weights="random"),
        search=SearchSection(max_trials=24, max_epochs=12, precision="float32", backbone_lr_cap=100),
    )
