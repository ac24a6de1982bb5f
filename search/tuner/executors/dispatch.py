"""Dispatch: which of the works that wait goes to which of the workers that are free.

A worker builds the graph of a shape once, and that can take longer than the work: so a worker is given the first work
of a shape that it has built. Where there is none, it takes one of a shape that nobody has built before it takes one
that another worker is at home with, unless there is enough of that to be worth a second graph.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from search.trials.worker import Work

Name = TypeVar("Name", bound=Hashable)

MOST_LOSSES = 3
"""Workers that one work is given to: what takes three of them with it is the work's own fault."""


@dataclass
class Task:
    """A work on its way.

    Attributes:
        number: In the order in which they were submitted.
        work: What is to be done.
        on_epoch: Whoever is told of its epochs.
        losses: How many workers were lost with it.
    """

    number: int
    work: Work
    on_epoch: Callable[[int], None]
    losses: int = 0


class Dispatch(Generic[Name]):
    """Works that wait, and what each worker has built."""

    def __init__(self) -> None:
        self.waiting: list[Task] = []
        self._submitted = 0
        self._built: defaultdict[Name, set[Hashable]] = defaultdict(set)

    def submit(self, work: Work, on_epoch: Callable[[int], None]) -> None:
        """Put a work behind those that wait."""
        self.waiting.append(Task(self._submitted, work, on_epoch))
        self._submitted += 1

    def give(self, worker: Name) -> Task:
        """Take the work for a free worker out of those that wait, of which there is one at least."""
        own, waiting = self._built[worker], Counter(task.work.shape for task in self.waiting)
        at_home = Counter(shape for built in self._built.values() for shape in built)

        def preference(task: Task) -> tuple[int, int, float]:
            shape = task.work.shape
            if task.losses:  # whoever is free gets it next
                return 0, task.number, 0.0
            if shape in own:
                return 1, task.number, 0.0
            # Of others the one that has most to do for each worker that knows it, this one counted.
            return 2, 0, -waiting[shape] / (at_home[shape] + 1) if at_home[shape] else float("-inf")

        task = min(self.waiting, key=lambda task: (*preference(task), task.number))
        self.waiting.remove(task)
        own.add(task.work.shape)
        return task

    def lost(self, worker: Name) -> None:
        """A worker was lost: the one in its place has built nothing."""
        self._built[worker] = set()
