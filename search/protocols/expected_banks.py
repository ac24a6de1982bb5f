"""The banks and checkpoints that a search will keep, from the labels of its development patients alone."""

from __future__ import annotations

from collections.abc import Sequence

from mammo_data import CaseTable, Split
from mammo_data.training.sampling import NATURAL_PREVALENCE
from search.bit.architecture import BitArchitecture
from search.boundary.plan import BankPlan, plan_banks
from search.config.schema import Config
from search.plan.hyperband import HyperbandPlan

_SLOTS = {"sgd": 1, "adam": 2, "adamw": 2}
_HEAD_VALUES = 5  # batch norms: gamma, beta, two moving statistics, and the bias


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


def checkpoint_bytes(architecture: BitArchitecture, config: Config, classes: int) -> int:
    """Size of one fold's checkpoint at the deepest and widest."""
    width = max(config.space.head_width)
    features = architecture.n_features
    head = features * (width + _HEAD_VALUES) + width * (classes + _HEAD_VALUES) + classes
    trained = architecture.trained_parameters(max(config.space.depths)) + head
    return 4 * trained * (1 + _SLOTS[config.search.optimizer])
