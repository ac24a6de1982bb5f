"""Bank plan: how many views are stored and at which depths, decided before the first trial.

Over the budget, views are given up first, evenly over the classes, down to one stored view an image (the image itself)
with its share for the rarer classes; if that is not enough, the deepest boundaries (the largest values) are recomputed
whenever they are read. The number of views is a property of the search, so a search that is resumed under a smaller
budget recomputes and never changes its views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mammo_data.training.augmentation import views_per_class
from search.boundary.store import bank_bytes
from search.text import size_text


@dataclass(frozen=True)
class BankPlan:
    """Views and banks of a search.

    Attributes:
        views_per_class: Stored views of an image of each class.
        stored: Unfreeze depths whose values are kept on disk.
        recomputed: Those whose values are computed whenever they are read.
        bytes: Size of each stored bank, by depth.
        views: Stored views of all development images together.
    """

    views_per_class: tuple[int, ...]
    stored: tuple[int, ...]
    recomputed: tuple[int, ...]
    bytes: Mapping[int, int]
    views: int

    @property
    def total_bytes(self) -> int:
        """Size of all stored banks."""
        return sum(self.bytes.values())


def plan_banks(
    labels: NDArray[np.int64],
    n_classes: int,
    shapes: Mapping[int, tuple[int, ...]],
    *,
    base_views: int,
    most_views: int,
    max_bytes: int,
    fixed_views: Sequence[int] | None = None,
) -> BankPlan:
    """Decide views and banks.

    Args:
        labels: Class index of each development image, int64 [images].
        n_classes: Number of classes.
        shapes: Shape of one boundary value of each unfreeze depth in use.
        base_views: Views wished for an image of the most frequent class.
        most_views: Bound for the rarest.
        max_bytes: Budget of the banks.
        fixed_views: Views of each class that an earlier part of the same search has used.
    """
    # From the views wished for down to the fewest.
    wishes = [
        views_per_class(labels, n_classes, base=base, most=max(base, most_views * base // base_views))
        for base in range(base_views, 0, -1)
    ]
    if fixed_views is not None:
        wishes = [tuple(fixed_views)]
    counts = np.bincount(labels, minlength=n_classes)
    plans = [_with_all_stored(wish, counts, shapes) for wish in wishes]
    if fitting := [plan for plan in plans if plan.total_bytes <= max_bytes]:
        return fitting[0]
    # Not even the fewest views fit: what is recomputed may as well have all the views that were wished for.
    sizes = dict(plans[0].bytes)
    recomputed = []
    for depth in sorted(sizes, key=lambda depth: (-sizes[depth], -depth)):
        if sum(sizes.values()) <= max_bytes:
            break
        recomputed.append(depth)
        del sizes[depth]
    return replace(plans[0], stored=tuple(sorted(sizes)), recomputed=tuple(sorted(recomputed)), bytes=sizes)


def _with_all_stored(
    wish: tuple[int, ...], counts: NDArray[np.int64], shapes: Mapping[int, tuple[int, ...]]
) -> BankPlan:
    views = int(counts @ np.array(wish))
    sizes = {depth: bank_bytes(depth, shape, views) for depth, shape in shapes.items()}
    return BankPlan(wish, tuple(sorted(sizes)), (), sizes, views)


def describe_banks(plan: BankPlan) -> str:
    """Views and banks as a line of text."""
    sizes = ", ".join(f"depth {depth} {size_text(size)}" for depth, size in plan.bytes.items())
    text = f"{plan.views} views ({' / '.join(map(str, plan.views_per_class))} an image, by class)"
    if plan.stored:
        text += f"; banks of {size_text(plan.total_bytes)} on disk: {sizes}"
    if plan.recomputed:
        text += f"; recomputed whenever read: depth {', '.join(map(str, plan.recomputed))} (raise cache.max_gb)"
    return text
