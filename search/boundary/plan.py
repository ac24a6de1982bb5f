"""What the banks of a search take, decided before the first run.

Over the budget, views are given up first, evenly over the classes, down to one stored view an image (the image itself)
with its share for the rarer classes; if that is not enough, the deepest boundaries (the largest values) are recomputed
whenever they are read. The number of views is a property of the search, so a search that is resumed under a smaller
budget recomputes and never changes its views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    wishes = [tuple(fixed_views)] if fixed_views is not None else _wishes(labels, n_classes, base_views, most_views)
    counts = np.bincount(labels, minlength=n_classes)
    for wish in wishes:
        views = int(counts @ np.array(wish))
        sizes = {depth: bank_bytes(depth, shape, views) for depth, shape in shapes.items()}
        if sum(sizes.values()) <= max_bytes:
            return BankPlan(wish, tuple(sorted(sizes)), (), sizes, views)
    # Not even the fewest views fit: what is recomputed may as well have all the views that were wished for.
    wish = wishes[0]
    views = int(counts @ np.array(wish))
    sizes = {depth: bank_bytes(depth, shape, views) for depth, shape in shapes.items()}
    recomputed = []
    for depth in sorted(sizes, key=lambda depth: (-sizes[depth], -depth)):
        if sum(sizes.values()) <= max_bytes:
            break
        recomputed.append(depth)
        del sizes[depth]
    return BankPlan(wish, tuple(sorted(sizes)), tuple(sorted(recomputed)), sizes, views)


def _wishes(labels: NDArray[np.int64], n_classes: int, base_views: int, most_views: int) -> list[tuple[int, ...]]:
    """From the views wished for down to the fewest."""
    return [
        views_per_class(labels, n_classes, base=base, most=max(base, most_views * base // base_views))
        for base in range(base_views, 0, -1)
    ]


def describe_banks(plan: BankPlan) -> str:
    """Views and banks as a line of text."""
    sizes = ", ".join(f"depth {depth} {size_text(size)}" for depth, size in plan.bytes.items())
    text = f"{plan.views} views ({' / '.join(map(str, plan.views_per_class))} an image, by class)"
    if plan.stored:
        text += f"; banks of {size_text(plan.total_bytes)} on disk: {sizes}"
    if plan.recomputed:
        text += f"; recomputed whenever read: depth {', '.join(map(str, plan.recomputed))} (raise cache.max_gb)"
    return text
