"""Final models, one a seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def retrain(
    *given: Any, epochs: int, seeds: int, on_epoch: Callable[[int, int], None] = lambda seed, epoch: None
) -> tuple[Any, ...]:
    """Those of some seeds, as the final stage trains each."""
    from search.final.retrain import train_final

    return tuple(
        train_final(*given, epochs=epochs, number=seed, on_epoch=lambda epoch, seed=seed: on_epoch(seed, epoch))
        for seed in range(seeds)
    )
