"""From the prepared set to what trials read: the development patients' banks, labels and folds.

This is where the test patients are left behind. Nothing after it, up to the final evaluation, is given their rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import CaseTable
from mammo_data.preparation.prepared import PreparedSet
from mammo_data.splits import Split
from mammo_data.training.augmentation import AugmentationSettings
from search.bit.architecture import BitArchitecture
from search.bit.weights import BitWeights
from search.boundary.plan import BankPlan
from search.boundary.store import BankKey, BankStore
from search.boundary.values import BoundaryBank, BoundaryValues, RecomputedValues, bank_dtype
from search.trials.data import TrialData

TRUNK_BATCH = 32


@dataclass(frozen=True)
class StoredViews:
    """Which views of which images the banks hold.

    Attributes:
        prepared: All prepared images.
        rows: Row of the prepared set of each view, int64 [views].
        numbers: Number of the view of its image, int64 [views]; 0 is the image itself.
        offsets: Position of each development image's view 0, and the total, int64 [images + 1].
        seed: Seed of the views.
        augmentation: The ranges.
    """

    prepared: PreparedSet
    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]
    offsets: NDArray[np.int64]
    seed: int
    augmentation: AugmentationSettings

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the list of views and of how they are made."""
        ids = self.prepared.table.image_ids
        listed = [[ids[row], int(number)] for row, number in zip(self.rows, self.numbers, strict=True)]
        text = json.dumps([listed, self.seed, asdict(self.augmentation)])
        return hashlib.sha256(text.encode()).hexdigest()

    def batches(self, first: int) -> Iterable[NDArray[np.float32]]:
        """Pixels of all views from one on, float32 [batch, size, size, 3] in [−1, 1]."""
        return self._dataset(np.arange(first, len(self.rows))).as_numpy_iterator()

    def pixels(self, views: NDArray[np.int64]) -> NDArray[np.float32]:
        """Pixels of some views, float32 [views, size, size, 3] in [−1, 1]."""
        return np.concatenate(list(self._dataset(views).as_numpy_iterator()))

    def _dataset(self, views: NDArray[np.int64]):  # type: ignore[no-untyped-def]  # TensorFlow has no types here
        from mammo_data.training.pipeline import view_dataset

        return view_dataset(
            self.prepared.images,
            self.rows[views],
            self.numbers[views],
            self.prepared.table.image_ids,
            batch_size=TRUNK_BATCH,
            seed=self.seed,
            augmentation=self.augmentation,
            source=self.prepared.training_image,
        )


def stored_views(
    prepared: PreparedSet, split: Split, plan: BankPlan, *, seed: int, augmentation: AugmentationSettings
) -> StoredViews:
    """List the views of the development images."""
    rows = split.development_rows(prepared.table)
    counts = np.array(plan.views_per_class, dtype=np.int64)[prepared.table.labels[rows]]
    return StoredViews(
        prepared=prepared,
        rows=np.repeat(rows, counts),
        numbers=np.concatenate([np.arange(count) for count in counts]),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        seed=seed,
        augmentation=augmentation,
    )


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
    from search.boundary.trunk import frozen_trunk
    from search.machine.libraries import arithmetic

    prepared = views.prepared
    image_size = prepared.settings.image_size
    shapes = boundary_shapes(architecture, (*plan.stored, *plan.recomputed), image_size)

    def trunk_of(depths: Sequence[int]):  # type: ignore[no-untyped-def]
        return frozen_trunk(architecture, weights, image_size=image_size, depths=depths, dtype=dtype)

    keys = {
        depth: BankKey(
            weights.fingerprint,
            prepared.fingerprint,
            views.fingerprint,
            depth,
            TRUNK_BATCH,
            dtype=dtype,
            arithmetic=arithmetic(),
        )
        for depth in plan.stored
    }
    stored = BankStore(cache, max_bytes=max_bytes).ensure(
        keys,
        trunk_of=trunk_of,
        pixels_from=views.batches,
        views=plan.views,
        shapes={depth: shapes[depth] for depth in plan.stored},
        progress=progress,
    )
    values: dict[int, BoundaryValues] = dict(stored)
    for depth in plan.recomputed:
        values[depth] = RecomputedValues(
            trunk_of([depth]),
            views.pixels,
            views=plan.views,
            shape=shapes[depth],
            dtype=bank_dtype(depth),
            batch_size=TRUNK_BATCH,
        )
    return values


def development_data(
    values: Mapping[int, BoundaryValues], offsets: NDArray[np.int64], prepared: PreparedSet, split: Split, *, folds: int
) -> TrialData:
    """What the trials of a search read.

    Args:
        values: Boundary values of the development patients' views, by unfreeze depth.
        offsets: Position of each development image's view 0, and the total, int64 [images + 1].
        prepared: All prepared images.
        split: Which patients are held out, and the folds of the others.
        folds: How many of the split's folds trials use.
    """
    table = prepared.table.take(split.development_rows(prepared.table))
    return TrialData(
        banks={depth: BoundaryBank(depth, array, offsets) for depth, array in values.items()},
        labels=table.labels,
        image_ids=table.image_ids,
        patient_ids=table.patient_ids,
        class_names=table.class_names,
        folds=fold_positions(prepared.table, split)[:folds],
    )


def fold_positions(table: CaseTable, split: Split) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]:
    """(training, validation) positions among the development rows of a table, for each fold of a split."""
    rows = split.development_rows(table)
    folds = (split.fold_rows(table, fold) for fold in range(len(split.folds)))
    return tuple((np.searchsorted(rows, training), np.searchsorted(rows, validation)) for training, validation in folds)
