"""The expected cost of a job on this machine, before anything of it is done: banks, checkpoints and time.

Sizes are exact for whole images; time is an estimate. It counts the multiply-adds of the convolutions and divides them
by a short measurement of this machine's float32 matrix products, at the shares of that rate that the trunk and the
tails reach; `search.plan.clock` makes a search's time of it. A GPU, which this does not measure, is faster.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mammo_data import CaseTable, Split, patient_split
from mammo_data.training.sampling import NATURAL_PREVALENCE
from search.bit.architecture import BitArchitecture
from search.bit.family import architecture_of
from search.bit.resolve import Backbone
from search.boundary.plan import BankPlan, describe_banks, plan_banks
from search.config.schema import Config
from search.plan.clock import search_clock
from search.plan.cost import TRUNK_SHARE, CostModel, epoch_costs, images_an_epoch, matrix_product_gflops
from search.plan.hyperband import HyperbandPlan
from search.plan.protocol import search_shares
from search.text import duration, size_text

_SLOTS = {"sgd": 1, "adam": 2, "adamw": 2}
_HEAD_VALUES = 5  # batch norms: gamma, beta, two moving statistics, and the bias
# Of one GPU of some years ago in float32: an estimate had better be too long.
_GPU_RATE = 8e12


@dataclass(frozen=True)
class ExpectedCost:
    """What a search takes.

    Attributes:
        searches: Searches that the protocol makes.
        development_images: Images that the search reads; of the nested protocol the last one, which reads all.
        views: Stored views of them.
        views_per_class: Stored views of an image of each class.
        bank_bytes: Size of each stored bank, by unfreeze depth.
        recomputed_depths: Depths whose values are not stored, for the budget is too small.
        bank_seconds: For the one pass of the trunk over all views.
        search_seconds: For all trials on all folds of all searches, the fixed configuration among them.
        checkpoint_bytes: Largest size of the checkpoints that exist at a time.
        gflops: The measured rate of this machine.
    """

    searches: int
    development_images: int
    views: int
    views_per_class: tuple[int, ...]
    bank_bytes: Mapping[int, int]
    recomputed_depths: tuple[int, ...]
    bank_seconds: float
    search_seconds: float
    checkpoint_bytes: int
    gflops: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; depths are text there."""
        return asdict(self) | {"bank_bytes": {str(depth): size for depth, size in self.bank_bytes.items()}}

    def as_text(self) -> str:
        """Lines of text."""
        images = f"{self.development_images} {'development ' if self.searches == 1 else ''}images"
        searches = "search" if self.searches == 1 else f"{self.searches} searches"
        banks = BankPlan(
            self.views_per_class, tuple(self.bank_bytes), self.recomputed_depths, self.bank_bytes, self.views
        )
        return (
            f"{images}: {describe_banks(banks)}\n"
            f"checkpoints: at most {size_text(self.checkpoint_bytes)} at a time\n"
            f"time, by {self.gflops:.0f} GFLOP/s of matrix products on this CPU: banks about "
            f"{duration(self.bank_seconds)} (none where they exist), {searches} about {duration(self.search_seconds)}"
        )


def expected_cost(
    config: Config, plan: HyperbandPlan, table: CaseTable, *, gflops: float | None = None
) -> ExpectedCost:
    """The cost of the protocol's search or searches, retraining and evaluation left out.

    Args:
        config: The configuration.
        plan: Its plan.
        table: All cases; whole images are counted, crops of them are about as many.
        gflops: Rate of float32 matrix products, instead of measuring it.

    Raises:
        DataError: If there are too few patients for the split.
    """
    nested = config.split.protocol == "nested"
    split = patient_split(
        table,
        test_fraction=0.0 if nested else config.split.test_fraction,
        folds=config.split.folds,
        seed=config.split.seed,
    )
    development = len(split.development_rows(table))
    images = images_of_searches(config, development)
    architecture = architecture_of(config.backbone.name)
    banks = plan_search_banks(config, architecture, table, split)
    rate = _rate(on_cpu=True) if gflops is None else gflops * 1e9
    # Whole images share one set of banks; crops lie elsewhere in each search.
    passes = sum(images) / development if config.data.mode == "roi" else 1
    return ExpectedCost(
        searches=len(images),
        development_images=development,
        views=banks.views,
        views_per_class=banks.views_per_class,
        bank_bytes=banks.bytes,
        recomputed_depths=banks.recomputed,
        bank_seconds=passes * _trunk_seconds(config, architecture, banks, rate),
        search_seconds=_search_seconds(config, plan, [_costs(config, architecture, n, rate, banks) for n in images]),
        checkpoint_bytes=checkpoint_peak(plan)
        * (config.search.folds or config.split.folds)
        * _checkpoint_bytes(architecture, config, len(table.class_names)),
        gflops=rate / 1e9,
    )


def describe_time(
    config: Config, plan: HyperbandPlan, backbone: Backbone, banks: BankPlan, images: Sequence[int]
) -> str:
    """How long a job will take, in words; nothing of it has been measured.

    Args:
        config: The configuration.
        plan: The plan of each search.
        backbone: The network, and what it is computed on.
        banks: What the trunk makes.
        images: How many each search reads, the largest one last.
    """
    rate = _rate(on_cpu=backbone.device.startswith("CPU"))
    costs = [_costs(config, backbone.architecture, count, rate, banks) for count in images]
    trunk, searching = _trunk_seconds(config, backbone.architecture, banks, rate), _search_seconds(config, plan, costs)
    # Where there are several searches, the last one's model is trained with one seed, and compared with no baseline.
    seeds = 2 * config.retrain.seeds * max(1, len(images) - 1) + (len(images) > 1)
    retraining = seeds * plan.max_epochs * max(costs[-1].seconds(depth) for depth in config.space.depths)
    return (
        f"about {_rounded(trunk + searching + retraining)}, roughly: trunk {_rounded(trunk)} (less where it is kept), "
        f"search {_rounded(searching)}, final models up to {_rounded(retraining)}"
    )


def rough_cost_model(config: Config, backbone: Backbone, development_images: int) -> CostModel:
    """What epochs of each unfreeze depth are believed to cost on this device.

    Args:
        config: The resolved configuration.
        backbone: The network, and what it is computed on.
        development_images: Images of the development patients.
    """
    return _costs(
        config, backbone.architecture, development_images, _rate(on_cpu=backbone.device.startswith("CPU")), None
    )


def images_of_searches(config: Config, images: int) -> list[int]:
    """How many of the images each search of the protocol reads; of a hold-out run, these are the development images."""
    nested = config.split.protocol == "nested"
    return [int(share * images + 1e-9) for share in search_shares(config)] if nested else [images]


def plan_search_banks(
    config: Config,
    architecture: BitArchitecture,
    table: CaseTable,
    split: Split,
    *,
    fixed_views: Sequence[int] | None = None,
    max_bytes: int | None = None,
) -> BankPlan:
    """Views and banks of one search, from the labels of its development patients alone.

    Args:
        config: The configuration.
        architecture: The backbone's.
        table: The images or crops that the search is given.
        split: Which patients are left out.
        fixed_views: Views of each class that an earlier part of the same search has used.
        max_bytes: Budget, instead of the configured one.
    """
    augmentation, side = config.augmentation, config.preparation.image_size
    return plan_banks(
        table.labels[split.development_rows(table)],
        len(table.class_names),
        {depth: architecture.boundary_shape(depth, (side, side)) for depth in config.space.depths},
        base_views=augmentation.views,
        # Only a sampler that draws the images of rare classes more often has use for more of their views.
        most_views=augmentation.views if config.search.minority in NATURAL_PREVALENCE else augmentation.most_views,
        max_bytes=bank_budget(config) if max_bytes is None else max_bytes,
        fixed_views=fixed_views,
    )


def bank_budget(config: Config) -> int:
    """Budget of the banks in bytes."""
    return int(config.cache.max_gb * 1e9)


def checkpoint_peak(plan: HyperbandPlan) -> int:
    """Most trials whose checkpoints are kept at a time: two rungs' promotions, the one that leads, that in flight."""
    kept = [0]
    for bracket in plan.brackets:
        promoted = [rung.trials for rung in bracket.rungs[1:]]
        kept += [sum(promoted[rung : rung + 2]) for rung in range(len(promoted))]
    return max(kept) + 2


def _checkpoint_bytes(architecture: BitArchitecture, config: Config, classes: int) -> int:
    """One fold's checkpoint at the deepest and widest."""
    width = max(config.space.head_width)
    features = architecture.n_features
    head = features * (width + _HEAD_VALUES) + width * (classes + _HEAD_VALUES) + classes
    trained = architecture.trained_parameters(max(config.space.depths)) + head
    return 4 * trained * (1 + _SLOTS[config.search.optimizer])


def _costs(
    config: Config, architecture: BitArchitecture, images: int, rate: float, banks: BankPlan | None
) -> CostModel:
    training, validation = images_an_epoch(config, images)
    costs = epoch_costs(
        architecture,
        config.space.depths,
        config.preparation.image_size,
        training=training,
        validation=validation,
        rate=rate,
        recomputed=banks.recomputed if banks else (),
    )
    return CostModel(costs)


def _trunk_seconds(config: Config, architecture: BitArchitecture, banks: BankPlan, rate: float) -> float:
    flop = banks.views * sum(architecture.convolution_flop(config.preparation.image_size))
    return flop / (TRUNK_SHARE * rate) if banks.stored else 0.0


def _search_seconds(config: Config, plan: HyperbandPlan, costs: Sequence[CostModel]) -> float:
    trials = sum(search_clock(config, plan, each).seconds_left(0.0) or 0.0 for each in costs)
    # The baseline that is trained like a trial, wherever there are held-out patients to compare it on.
    epochs, deepest = (config.search.folds or config.split.folds) * plan.max_epochs, max(config.space.depths)
    return trials + sum(epochs * each.seconds(deepest) for each in costs[: max(1, len(costs) - 1)])


@functools.cache
def _rate(*, on_cpu: bool) -> float:
    """Operations a second of float32 matrix products: measured on a CPU, once a process."""
    return matrix_product_gflops(0.5) * 1e9 if on_cpu else _GPU_RATE


def _rounded(seconds: float) -> str:
    """A rough figure says no more than it knows: half minutes below ten minutes, then minutes."""
    if seconds < 20:
        return duration(max(1.0, seconds))
    step = 30 if seconds < 600 else 60 if seconds < 3600 else 600
    return duration(max(step, round(seconds / step) * step))
