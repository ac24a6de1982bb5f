"""A worker elsewhere: what a process that is not the driver does, whoever started it.

It starts TensorFlow once and keeps its compiled graphs for as long as it lives, over all searches of a run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from search.machine.libraries import Arithmetic, start_tensorflow

if TYPE_CHECKING:
    from search.trials.worker import Work, Worker

_opened: list[Worker] = []


def start(told: Callable[[Any], None], pinned: Sequence[int], arithmetic: Arithmetic, deterministic: bool) -> None:
    """Start TensorFlow with this arithmetic, on these cores alone where any are named."""
    if pinned and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, pinned)
    with _absent("sklearn", "pandas", "matplotlib", "scipy", "cv2"):
        start_tensorflow(deterministic=deterministic, arithmetic=arithmetic)


@contextmanager
def _absent(*packages: str) -> Iterator[None]:
    """Inside the block these can't be imported: Keras takes them where they are, which is a third of its own import."""
    hidden = [name for name in packages if name not in sys.modules]
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del modules[name]


def open_worker(told: Callable[[Any], None], worker: Worker) -> None:
    """Work for this search from now on."""
    for before in _opened:
        worker.trainers.adopt(before.trainers)
    _opened[:] = [worker]


def carry_out(told: Callable[[Any], None], work: Work) -> Any:
    """Do some work; its epochs are told, and all that it leaves on the disk is there when this returns."""
    (worker,) = _opened
    result = worker.carry_out(work, told)
    worker.checkpoints.wait()
    return result
