"""Banks: boundary values of a job's views, from the store, computed for it, or recomputed whenever read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from search.bit import BitArchitecture, BitWeights
from search.boundary.bank_key import BankKey
from search.boundary.plan import BankPlan
from search.boundary.store import BankStore
from search.boundary.trunk import frozen_trunk
from search.boundary.values import BoundaryValues, RecomputedValues, bank_dtype
from search.boundary.views import TRUNK_BATCH, StoredViews
from search.machine.libraries import arithmetic_in_words


def boundary_shapes(
    architecture: BitArchitecture, depths: Sequence[int], image_size: int
) -> dict[int, tuple[int, ...]]:
    """Shape of one boundary value of each depth."""
    return {depth: architecture.boundary_shape(depth, (image_size, image_size)) for depth in depths}


def boundary_values(
    views: StoredViews,
    plan: BankPlan,
    *,
    architecture: BitArchitecture,
    weights: BitWeights,
    cache: Path,
    max_bytes: int,
    dtype: str = "float32",
    progress: Callable[[int, int], None] | None = None,
) -> dict[int, BoundaryValues]:
    """Fill or find the banks of some views.

    Args:
        views: The stored views.
        plan: Which depths are stored and which recomputed.
        architecture: The backbone's.
        weights: Its weights.
        cache: Folder of the banks.
        max_bytes: Budget of the banks.
        dtype: Dtype policy of the trunk's arithmetic.
        progress: Called with (views done, views in all).

    Returns:
        Unfreeze depth to the values of all views.
    """
    prepared = views.prepared
    image_size = prepared.settings.image_size
    shapes = boundary_shapes(architecture, (*plan.stored, *plan.recomputed), image_size)
    trunk_of = partial(frozen_trunk, architecture, weights, image_size=image_size, dtype=dtype)
    fingerprints = weights.fingerprint, prepared.fingerprint, views.fingerprint
    keys = {
        depth: BankKey(*fingerprints, depth, TRUNK_BATCH, dtype=dtype, arithmetic=arithmetic_in_words())
        for depth in plan.stored
    }
    stored = BankStore(cache, max_bytes=max_bytes).ensure(
        keys, trunk_of=trunk_of, pixels_from=views.batches, views=plan.views, shapes=shapes, progress=progress
    )
    recomputed = {
        depth: RecomputedValues(
            trunk_of([depth]), views.pixels, (plan.views, *shapes[depth]), bank_dtype(depth), TRUNK_BATCH
        )
        for depth in plan.recomputed
    }
    return {**stored, **recomputed}
