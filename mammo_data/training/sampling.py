"""The sampler: which training images an epoch draws, and how often, where classes are rare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NATURAL_PREVALENCE = ("class_weights", "logit_adjustment", "none")
"""Choices of minority handling that draw every image equally often."""


def epoch_rows(
    labels: NDArray[np.int64], *, draws: int, rng: np.random.Generator, minority: str = "balanced"
) -> NDArray[np.int64]:
    """Draw the training rows of one epoch.

    Args:
        labels: Class index of each training row, int64 [n].
        draws: Number of rows to draw; an epoch is a fixed number of steps, whatever the sampler.
        rng: Seeded by the caller with (seed, fold, epoch).
        minority: "balanced" draws each class that is present equally often (which of them get the rest of a division
            is random); "none" keeps the natural prevalence, and so do "class_weights" and "logit_adjustment", which
            act in the loss. Either way a row comes back only after all others of its class (of the whole set) have
            been drawn.

    Returns:
        int64 [draws], indices into ``labels``, shuffled.

    Raises:
        ValueError: There is nothing to draw from, or ``minority`` is unknown.
    """
    labels = np.asarray(labels)
    if labels.size == 0 or draws < 0:
        raise ValueError(f"cannot draw {draws} rows from {labels.size}")
    if minority in NATURAL_PREVALENCE:
        return _passes(np.arange(labels.size, dtype=np.int64), draws, rng)
    if minority != "balanced":
        raise ValueError(f"minority must be 'balanced' or one of {NATURAL_PREVALENCE}; received {minority!r}")
    classes = np.unique(labels)
    shares = np.full(classes.size, draws // classes.size)
    shares[rng.permutation(classes.size)[: draws % classes.size]] += 1
    drawn = [
        _passes(np.flatnonzero(labels == wanted).astype(np.int64), int(share), rng)
        for wanted, share in zip(classes, shares, strict=True)
    ]
    return rng.permutation(np.concatenate(drawn))


def _passes(rows: NDArray[np.int64], draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``draws`` of ``rows``: shuffled passes, one after the other, the last one cut short."""
    passes = -(-draws // rows.size)
    drawn = [rng.permutation(rows) for _ in range(passes)]
    return np.concatenate([*drawn, rows[:0]])[:draws]
