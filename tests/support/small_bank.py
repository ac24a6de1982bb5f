"""A bank of a few numbers, filled without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from search.boundary.bank_key import BankKey
from search.boundary.store import BankStore

VIEWS, BATCH = 8, 4
KEY = BankKey(weights="w", prepared="p", views="v", depth=0, batch_size=BATCH)


def fill(
    folder: Path, views: str = "v", *, max_bytes: int = 10**9, between: Callable[[], object] = lambda: None
) -> np.ndarray:
    """The values of a bank of other views for each name; each number is that of the first view of its batch.

    Args:
        folder: The store.
        views: Name of the views.
        max_bytes: Budget of the store.
        between: Called after each batch.
    """

    def pixels(first):
        for start in range(first, VIEWS, BATCH):
            yield np.full((BATCH, 10), start, np.float32)
            between()

    return BankStore(folder, max_bytes).ensure(
        {0: replace(KEY, views=views)},
        trunk_of=lambda depths: lambda batch: [batch],
        pixels_from=pixels,
        views=VIEWS,
        shapes={0: (10,)},
    )[0]
