"""Scheduling of folds among workers, with sleep in place of arithmetic: how near the bound of the folds it comes.

Run: uv run python tests/benchmarks/bench_schedule.py [--workers 2,4,8,16,32] [--draws 20] [--build 2] [--arithmetic 0]
         [--sleep SCALE] [--json]

The plan of 40 (38 trials, five folds each) is carried out by the search's own oracle, tuner and dispatch; a fold takes
its epochs times the cost of its depth (0.04, 1.7, 3.7 and 5.7 s), a graph --build seconds the first time that a worker
meets a shape. With --arithmetic all costs are scaled so that the folds take so many seconds together. Time is told by
a clock that jumps to whoever ends next; with --sleep the workers sleep, so many times shorter, and the driver's own
time counts as well.

The bound is that of folds: all arithmetic, and one graph a shape, on workers that never wait; or the longest way
through a bracket with a graph, where that is longer. Rates are means over draws of the configurations and of who is
promoted.
"""

from __future__ import annotations

import argparse
import heapq
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

COSTS = {0: 0.04, 1: 1.7, 2: 3.7, 3: 5.7}


class Clock:
    """Seconds that pass as they are waited for."""

    def __init__(self, shorter: float | None) -> None:
        self._shorter, self.now = shorter, 0.0

    def wait_until(self, moment: float) -> None:
        if self._shorter and moment > self.now:
            time.sleep((moment - self.now) / self._shorter)
        self.now = max(self.now, moment)


class Sleeper:
    """A worker that sleeps."""

    lost, idle_seconds = None, 0.0

    def __init__(self, host: Sleepers) -> None:
        self._host, self._built, self._calls = host, set(), 0
        self.ends: tuple[float, int, Any] | None = None

    def call(self, function: Any, *arguments: Any) -> int:
        number, self._calls = self._calls, self._calls + 1
        if function.__name__ == "carry_out":
            (work,) = arguments
            built = work.shape in self._built
            self._built.add(work.shape)
            self._host.builds += not built
            seconds = self._host.seconds(work) + (0 if built else self._host.build)
            self._host.worked += self._host.seconds(work)
            self.ends = self._host.clock.now + seconds, number, work
        return number

    def messages(self) -> list[Any]:
        from search.machine.child import Message

        if self.ends is None or self.ends[0] > self._host.clock.now:
            return []
        (_, number, work), self.ends = self.ends, None
        return [Message(number, "done", self._host.result(work))]

    def end(self) -> None: ...


class Sleepers:
    """A host of such workers."""

    def __init__(self, costs: dict[int, float], build: float, clock: Clock, seed: int) -> None:
        self.costs, self.build, self.clock, self._seed = costs, build, clock, seed
        self.builds, self.worked = 0, 0.0

    def start(self, place: Any, log: Path) -> Sleeper:
        return Sleeper(self)

    def arrived(self, processes: list[Sleeper], seconds: float) -> None:
        self.clock.wait_until(min(each.ends[0] for each in processes if each.ends))

    def seconds(self, work: Any) -> float:
        return (work.assignment.epochs - work.assignment.initial_epoch) * self.costs[work.configuration.unfreeze_depth]

    def result(self, work: Any) -> Any:
        import numpy as np

        from reports.trials import OBJECTIVE_CURVE
        from search.trials.cross_validation import FoldResult

        epochs = work.assignment.epochs - work.assignment.initial_epoch
        score = float(np.random.default_rng([self._seed, work.assignment.configuration]).uniform(0.5, 0.9))
        curves = dict.fromkeys((OBJECTIVE_CURVE, "loss", "val_loss"), (score,) * epochs)
        return FoldResult(curves, np.zeros((epochs, 12, 3), np.float32), seconds=self.seconds(work))


def carry_out(workers: int, costs: dict[int, float], build: float, seed: int, sleep: float | None) -> dict[str, float]:
    """One search; seconds that it took, and its bound."""
    import numpy as np

    from search.config.reading import load_config
    from search.machine.libraries import Arithmetic
    from search.machine.places import WorkerPlace
    from search.plan.protocol import plan_search
    from search.trials.data import TrainingSettings, TrialData
    from search.tuner.executors.processes import ProcessExecutor, WorkerProcesses
    from search.tuner.search import run_search

    class Silent:
        def trial_begins(self, *told: Any) -> None: ...
        def epoch_ended(self, *told: Any) -> None: ...
        def trial_ended(self, *told: Any) -> None: ...

    config = load_config(None, {"search.max_trials": 40, "search.seed": seed, "space.unfreeze_depth": sorted(costs)})
    plan, images = plan_search(config.search), np.arange(60)
    names = tuple(map(str, images))
    folds = tuple((images[images % 5 != fold], images[images % 5 == fold]) for fold in range(5))
    data = TrialData({}, images % 3, names, names, ("normal", "benign", "malignant"), folds)
    settings = TrainingSettings(seed=seed, batch_size=8, steps_per_epoch=1, full_epochs=plan.max_epochs)
    clock = Clock(sleep)
    host, began = Sleepers(costs, build, clock, seed), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        places = [WorkerPlace(str(number), 1) for number in range(workers)]
        with WorkerProcesses(
            places, Path(folder) / "logs", arithmetic=Arithmetic(1), deterministic=True, say=print, host=host
        ) as processes:
            outcome = run_search(
                plan,
                config,
                data,
                settings,
                trainers=lambda configuration: None,  # type: ignore[arg-type,return-value]
                run_directory=Path(folder) / "run",
                listener=Silent(),
                executor_of=lambda worker: ProcessExecutor(worker, processes),
                epoch_seconds=costs.__getitem__,
            )
    took = (time.monotonic() - began) * sleep if sleep else clock.now
    shapes = {(r.hyperparameters["unfreeze_depth"], r.hyperparameters["head_width"]) for r in outcome.records}
    bound = max((host.worked + build * len(shapes)) / workers, longest_chain(outcome.records, costs, build))
    return {
        "seconds": took,
        "bound": bound,
        "share of the bound": bound / took,
        "times faster": (host.worked + build * len(shapes)) / took,
        "graphs": host.builds,
        "shapes": len(shapes),
    }


def longest_chain(records: Any, costs: dict[int, float], build: float) -> float:
    """Seconds of the longest way through a bracket: the slowest trial of each rung, one fold of it, and a graph."""
    slowest: dict[tuple[int, int], float] = {}
    for record in records:
        place = record.bracket, record.rung
        seconds = (record.epochs - record.initial_epoch) * costs[record.hyperparameters["unfreeze_depth"]]
        slowest[place] = max(slowest.get(place, 0.0), seconds)
    brackets = {bracket for bracket, _ in slowest}
    ways = [sum(seconds for place, seconds in slowest.items() if place[0] == bracket) for bracket in brackets]
    return heapq.nlargest(1, ways)[0] + build


def main() -> None:
    """Print a line a number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="2,4,8,16,32")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--build", type=float, default=2.0)
    parser.add_argument("--arithmetic", type=float, default=0.0)
    parser.add_argument("--sleep", type=float)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    costs = dict(COSTS)
    if options.arithmetic:
        alone = carry_out(1, costs, 0.0, 0, None)["seconds"]
        costs = {depth: cost * options.arithmetic / alone for depth, cost in costs.items()}
    rows = {}
    for workers in map(int, options.workers.split(",")):
        drawn = [carry_out(workers, costs, options.build, seed, options.sleep) for seed in range(options.draws)]
        rows[workers] = {name: round(statistics.fmean(each[name] for each in drawn), 3) for name in drawn[0]}
        if not options.json:
            sys.stdout.write(f"{workers:3} workers  {'  '.join(f'{n} {v:g}' for n, v in rows[workers].items())}\n")
    if options.json:
        sys.stdout.write(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
