"""Dispatch: which of the works that wait goes to which of the workers that are free.

The most urgent work goes first, that on the longest way to the end of its bracket. But a worker builds the graph of
each shape once, and that can take longer than the work: so a shape that it has not built counts as less urgent by what
a graph takes. Where other workers have built it already, it counts as less urgent by several graphs, unless much of it
waits for each of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from search.plan.forecast import graph_seconds
from search.trials.worker import Work

Name = TypeVar("Name", bound=Hashable)

MOST_LOSSES = 3
"""Workers that one work is given to: what takes three of them with it is the work's own fault."""

_SECOND_GRAPH = 4.0
"""Times a graph, were one work waiting for each worker that has it: with more, workers wait for each other at the end
of brackets; with less, they make graphs instead of training where that is fast."""


@dataclass
class Task:
    """A work on its way.

    Attributes:
        number: In the order in which they were submitted.
        work: What is to be done.
        on_epoch: Whoever is told of its epochs.
        urgency: As `Executor.submit` takes it.
        losses: How many workers were lost with it.
    """

    number: int
    work: Work
    on_epoch: Callable[[int], None]
    urgency: float
    losses: int = 0


class Dispatch(Generic[Name]):
    """Works that wait, and what each worker has built."""

    def __init__(self) -> None:
        self.waiting: list[Task] = []
        self._submitted = 0
        self._built: defaultdict[Name, set[Hashable]] = defaultdict(set)

    def submit(self, work: Work, on_epoch: Callable[[int], None], urgency: float) -> None:
        """Put a work among those that wait."""
        self.waiting.append(Task(self._submitted, work, on_epoch, urgency))
        self._submitted += 1

    def give(self, worker: Name) -> Task:
        """Take the work for a free worker out of those that wait, of which there is one at least."""
        own, waiting = self._built[worker], Counter(task.work.shape for task in self.waiting)
        at_home = Counter(shape for built in self._built.values() for shape in built)

        def preference(task: Task) -> tuple[bool, float, int]:
            shape = task.work.shape
            graphs = 0.0 if shape in own else 1.0
            if graphs and at_home[shape]:
                graphs = _SECOND_GRAPH * (at_home[shape] + 1) / waiting[shape]
            # Whoever is free gets next what was lost.
            return not task.losses, graphs * graph_seconds(shape[0]) - task.urgency, task.number

        task = min(self.waiting, key=preference)
        self.waiting.remove(task)
        own.add(task.work.shape)
        return task

    def lost(self, worker: Name) -> None:
        """A worker was lost: the one in its place has built nothing."""
        self._built[worker] = set()
