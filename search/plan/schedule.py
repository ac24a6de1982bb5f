"""Schedule: how long workers take for the folds of a search, each one fold at a time, a rung behind the one before it.

Brackets are beside each other, and whoever is free takes the fold with the longest way to the end of its bracket, as
`search.plan.execution` orders trials: list scheduling.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush


def makespan(brackets: Sequence[Sequence[Sequence[float]]], workers: int) -> float:
    """Seconds until all folds are trained.

    Args:
        brackets: Seconds of each fold, by bracket and rung.
        workers: How many folds are trained at a time.
    """
    to_come = [[list(folds) for folds in reversed(rungs) if folds] for rungs in brackets]
    waiting: list[tuple[float, int, float]] = []
    at_work: list[tuple[float, int]] = []
    unfinished = [0] * len(to_come)

    def release(bracket: int) -> None:
        folds = to_come[bracket].pop() if to_come[bracket] else []
        later = sum(map(max, to_come[bracket]))
        for seconds in folds:
            heappush(waiting, (-seconds - later, bracket, seconds))
        unfinished[bracket] = len(folds)

    for bracket in range(len(to_come)):
        release(bracket)
    now = 0.0
    while waiting or at_work:
        while waiting and len(at_work) < workers:
            _, bracket, seconds = heappop(waiting)
            heappush(at_work, (now + seconds, bracket))
        now, bracket = heappop(at_work)
        unfinished[bracket] -= 1
        if not unfinished[bracket]:
            release(bracket)
    return now
