"""What a search will take on this machine, before anything of it is done: banks, checkpoints and time.

Sizes are exact for whole images; time is an estimate. It counts the multiply-adds of the convolutions and divides them
by a one-second measurement of this machine's float32 matrix products, at the shares of that rate that the trunk and
the tails reach. A GPU, which this does not measure, is faster.

What a job is believed to take before it has begun: from its plan, its data and the kind of device.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mammo_data.errors import DataError
from search.config.schema import Config
from search.plan.cost import TRUNK_SHARE, CostModel, epoch_costs, images_an_epoch, matrix_product_gflops
from search.plan.hyperband import HyperbandPlan
from search.screen.state import search_board
from search.text import duration

if TYPE_CHECKING:
    from mammo_data.cases import CaseTable
    from search.bit.architecture import BitArchitecture
    from search.boundary.plan import BankPlan
    from search.protocols.job import Backbone


RUN_SECONDS = 0.3
BUILD_SECONDS = 4.0
"""Of a run beside its arithmetic, and of a graph that is built for the first time."""
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
        search_seconds: For all runs on all folds of all searches, the depths in equal shares.
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
        table = asdict(self)
        return table | {"bank_bytes": {str(depth): size for depth, size in self.bank_bytes.items()}}

    def as_text(self) -> str:
        """Lines of text."""
        from search.boundary.plan import describe_banks
        from search.text import size_text

        images = f"{self.development_images} {'development ' if self.searches == 1 else ''}images"
        searches = "search" if self.searches == 1 else f"{self.searches} searches"
        return (
            f"{images}: {describe_banks(self._bank_plan())}\n"
            f"checkpoints: at most {size_text(self.checkpoint_bytes)} at a time\n"
            f"time, by {self.gflops:.0f} GFLOP/s of matrix products on this CPU: banks about "
            f"{duration(self.bank_seconds)} (none where they exist), {searches} about {duration(self.search_seconds)}"
        )

    def _bank_plan(self) -> BankPlan:
        from search.boundary.plan import BankPlan

        return BankPlan(
            self.views_per_class, tuple(self.bank_bytes), self.recomputed_depths, self.bank_bytes, self.views
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
    from mammo_data.training.sampling import NATURAL_PREVALENCE
    from search.bit.family import architecture_of
    from search.boundary.plan import plan_banks

    rows, images_of_searches = _images_of_searches(config, table)
    architecture, side, depths = (
        architecture_of(config.backbone.name),
        config.preparation.image_size,
        config.space.depths,
    )
    augmentation = config.augmentation
    banks = plan_banks(
        table.labels[rows],
        len(table.class_names),
        {depth: architecture.boundary_shape(depth, (side, side)) for depth in depths},
        base_views=augmentation.views,
        most_views=augmentation.views if config.search.minority in NATURAL_PREVALENCE else augmentation.most_views,
        max_bytes=int(config.cache.max_gb * 1e9),
    )
    rate = (matrix_product_gflops() if gflops is None else gflops) * 1e9
    flop = architecture.convolution_flop(side)
    shown = [images_an_epoch(config, images) for images in images_of_searches]
    training, validation = (sum(counts) for counts in zip(*shown, strict=True))
    folds = config.search.folds or config.split.folds
    costs = epoch_costs(
        architecture, depths, side, training=training, validation=validation, rate=rate, recomputed=banks.recomputed
    )
    seconds = [costs[depth] * folds * plan.epochs / len(depths) for depth in depths]
    graphs = min(plan.trials, len(depths) * len(config.space.head_width))
    # Whole images share one set of banks; crops lie elsewhere in each search.
    passes = sum(images_of_searches) / len(rows) if config.data.mode == "roi" else 1
    return ExpectedCost(
        searches=len(images_of_searches),
        development_images=len(rows),
        views=banks.views,
        views_per_class=banks.views_per_class,
        bank_bytes=banks.bytes,
        recomputed_depths=banks.recomputed,
        bank_seconds=passes * banks.views * sum(flop) / (TRUNK_SHARE * rate) if banks.stored else 0.0,
        search_seconds=sum(seconds) + len(shown) * plan.trials * RUN_SECONDS + graphs * BUILD_SECONDS,
        checkpoint_bytes=checkpoint_peak(plan)
        * folds
        * _checkpoint_bytes(architecture, config, len(table.class_names)),
        gflops=rate / 1e9,
    )


def expected_text(config: Config, plan: HyperbandPlan, *, demo: bool) -> tuple[str, dict[str, Any] | None]:
    """The cost as text and as a dict; where the data are not there, a line that says so, and None."""
    from mammo_data.sources.open import load_cases, open_source
    from search.cohort import demo_data
    from search.config.schema import cache_directory

    try:
        source = (
            open_source(demo_data(cache_directory(config))) if demo else open_source(config.data.path, config.data.info)
        )
        cost = expected_cost(config, plan, load_cases(source))
    except DataError as error:
        return f"sizes and time depend on the data, which can't be read: {error}", None
    return cost.as_text(), cost.as_dict()


def _images_of_searches(config: Config, table: CaseTable) -> tuple[NDArray[np.int64], list[int]]:
    """Rows that the banks hold, and how many images each search of the protocol reads."""
    from mammo_data.splits import patient_split

    nested = config.split.protocol == "nested"
    fraction = 0.0 if nested else config.split.test_fraction
    split = patient_split(table, test_fraction=fraction, folds=config.split.folds, seed=config.split.seed)
    rows = split.development_rows(table)
    outer = config.split.outer_folds if nested else 0
    return rows, [*(len(rows) * (outer - 1) // outer for _ in range(outer)), len(rows)]


def checkpoint_peak(plan: HyperbandPlan) -> int:
    """Most runs whose checkpoints are kept at a time: two rungs' promotions, and the run in flight."""
    kept = [0]
    for bracket in plan.brackets:
        promoted = [rung.trials for rung in bracket.rungs[1:]]
        kept += [sum(promoted[rung : rung + 2]) for rung in range(len(promoted))]
    return max(kept) + 1 if len(kept) > 1 else 0


def _checkpoint_bytes(architecture: BitArchitecture, config: Config, classes: int) -> int:
    """One fold's checkpoint at the deepest and widest."""
    width = max(config.space.head_width)
    features = architecture.n_features
    head = features * (width + _HEAD_VALUES) + width * (classes + _HEAD_VALUES) + classes
    trained = architecture.trained_parameters(max(config.space.depths)) + head
    return 4 * trained * (1 + _SLOTS[config.search.optimizer])


def rough_cost_model(
    config: Config, backbone: Backbone, development_images: int, recomputed: Sequence[int] = ()
) -> CostModel:
    """What epochs of each unfreeze depth are believed to cost on this device.

    Args:
        config: The resolved configuration.
        backbone: The network, and what it is computed on.
        development_images: Images of the development patients.
        recomputed: Depths whose boundary values are not stored.
    """
    training, validation = images_an_epoch(config, development_images)
    costs = epoch_costs(
        backbone.architecture,
        config.space.depths,
        config.preparation.image_size,
        training=training,
        validation=validation,
        rate=_rate(backbone.device.startswith("CPU")),
        recomputed=recomputed,
    )
    return CostModel(costs)


def describe_time(
    config: Config, plan: HyperbandPlan, backbone: Backbone, bank_plan: BankPlan, development_images: int
) -> str:
    """How long a job will take, in words; nothing of it has been measured."""
    costs = rough_cost_model(config, backbone, development_images, bank_plan.recomputed)
    forward = sum(backbone.architecture.convolution_flop(config.preparation.image_size))
    trunk = bank_plan.views * forward / (TRUNK_SHARE * _rate(backbone.device.startswith("CPU")))
    searching = search_board(config, plan, costs).seconds_left(0.0) or 0.0
    dearest = max(costs.seconds(depth) for depth in config.space.depths)
    retraining = config.retrain.seeds * plan.max_epochs * dearest
    total = _rounded(trunk + searching + retraining)
    return (
        f"about {total}, roughly: trunk {_rounded(trunk)} (less where it is kept), search {_rounded(searching)}, "
        f"final models up to {_rounded(retraining)}"
    )


@functools.cache
def _rate(on_cpu: bool) -> float:
    """Operations a second of float32 matrix products: measured on a CPU, once a process."""
    return matrix_product_gflops(0.2) * 1e9 if on_cpu else _GPU_RATE


def _rounded(seconds: float) -> str:
    """A rough figure says no more than it knows: half minutes below ten minutes, then minutes."""
    if seconds < 20:
        return duration(max(1.0, seconds))
    step = 30 if seconds < 600 else 60 if seconds < 3600 else 600
    return duration(max(step, round(seconds / step) * step))
