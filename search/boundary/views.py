"""Stored views: which views of which development images the banks hold, and their pixels.

This is where the test patients are left behind. Nothing after it, up to the final evaluation, is given their rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from mammo_data import AugmentationSettings, PreparedSet, Split, view_dataset
from search.boundary.plan import BankPlan

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
