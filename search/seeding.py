"""Seeds: every random draw has a generator of its own, named by what it is for.

A generator is made from the run's seed and a list of words and numbers, so that no draw depends on how many were made
before it, on threads, or on which other parts of the program ran. Trials draw by fold and epoch and not by
configuration: all configurations meet the same batches (common random numbers), which takes the luck of the draw out
of their comparison.
"""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """The generator of one purpose.

    Args:
        seed: Seed of the run, 0 or more.
        purpose: Words and non-negative numbers that name the draw, for example ``("batches", fold, epoch)``.
    """
    return np.random.default_rng([seed, *(_number(part) for part in purpose)])


def _number(part: str | int) -> int:
    return zlib.crc32(part.encode()) if isinstance(part, str) else part
