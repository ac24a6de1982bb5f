"""Two workers of one core beside one process of two: the same search, real arithmetic, graph builds included.

Run: uv run python tests/benchmarks/bench_workers.py [--pairs 2] [--depths 1,3] [--workers 2] [--side 64] [--trials 6]
         [--precision float32 | bfloat16-tail] [--json]

Searches of R50x1 on synthetic films, a plan of few trials on five folds, each in a driver process of its own, in turns.
Told apart are the start (until every worker has loaded TensorFlow; of one process nothing but that) and what follows,
from the first fold that is given out to the last result. The tables have to be the same, clocks aside. The resident
memory of each worker is read at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.engine_search import config_and_plan, filled_banks, settings_and_trainers
from tests.benchmarks.search_setting import SMALL, Setting, prepared_films


class Silent:
    """A listener that keeps nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *told: None


def searched(setting: Setting, depths: tuple[int, ...], workers: int, workspace: Path) -> dict[str, Any]:
    """One search in this process, which is the driver."""
    from search.machine.libraries import arithmetic_here, start_tensorflow
    from search.machine.places import worker_places
    from search.tuner.executors.in_process import InProcessExecutor
    from search.tuner.executors.processes import ProcessExecutor, WorkerProcesses
    from search.tuner.search import run_search

    clock = time.perf_counter()
    start_tensorflow(deterministic=True)
    own_start = time.perf_counter() - clock
    films, split = prepared_films(setting, workspace)
    config, plan = config_and_plan(setting, depths, None)
    _, _, data = filled_banks(setting, config, films, split, depths, workspace)
    settings, trainers = settings_and_trainers(setting, config, plan, data)
    folder = Path(tempfile.mkdtemp(dir=workspace))
    with ExitStack() as stack:
        executor_of: Any = InProcessExecutor
        started: Any = ()
        clock = time.perf_counter()
        if workers > 1:
            places = worker_places(workers, "cpu")
            processes = stack.enter_context(
                WorkerProcesses(places, folder / "logs", arithmetic=arithmetic_here(), deterministic=True, say=print)
            )
            executor_of, started = partial(ProcessExecutor, processes=processes), processes.all
            for seat in started:
                seat.is_taken()
            for seat in started:
                while not seat.child.messages():
                    processes.host.arrived([seat.child], 1.0)
        start = time.perf_counter() - clock if workers > 1 else own_start
        clock = time.perf_counter()
        outcome = run_search(
            plan,
            config,
            data,
            settings,
            trainers=trainers,
            run_directory=folder,
            listener=Silent(),
            executor_of=executor_of,
            epoch_seconds=lambda depth: 0.04 + 1.9 * depth,
        )
        seconds = time.perf_counter() - clock
        memory = [_resident(seat.child.process_id) for seat in started] or [_resident(os.getpid())]
    blind = {"started": "", "seconds": 0.0, "overhead_seconds": 0.0, "build_seconds": 0.0, "arithmetic_seconds": 0.0}
    table = sorted(
        repr(replace(each, **{k: v for k, v in blind.items() if hasattr(each, k)})) for each in outcome.records
    )
    return {"start": start, "seconds": seconds, "memory": memory, "trials": len(table), "table": table}


def _resident(process: int) -> float:
    """Resident memory in GB."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--depths", default="1,3")
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        size, depths, workers, workspace = json.loads(given.work)
        print(json.dumps(searched(Setting(**size), tuple(depths), workers, Path(workspace))))
        return
    setting = replace(SMALL, side=given.side, max_trials=given.trials, max_epochs=3, precision=given.precision)
    depths = tuple(map(int, given.depths.split(",")))
    results: dict[int, list[dict[str, Any]]] = {1: [], given.workers: []}
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(Path(__file__).parents[2])}
    with tempfile.TemporaryDirectory() as workspace:
        # The first one draws films and fills banks, so that no search that counts has to.
        for workers in (1, *[1, given.workers] * given.pairs):
            work = json.dumps([asdict(setting), depths, workers, workspace])
            arguments = [sys.executable, __file__, "--work", work]
            done = subprocess.run(arguments, env=environment, stdout=subprocess.PIPE, check=True)
            results[workers].append(json.loads(done.stdout.splitlines()[-1]))
    results[1] = results[1][1:]
    tables = [each.pop("table") for side in results.values() for each in side]
    if any(table != tables[0] for table in tables):
        raise SystemExit("the tables differ")
    ratio = statistics.median(
        one["seconds"] / several["seconds"] for one, several in zip(results[1], results[given.workers], strict=True)
    )
    if given.json:
        print(json.dumps({"ratio": ratio, **{str(workers): each for workers, each in results.items()}}))
        return
    for workers, each in results.items():
        for one in each:
            memory = ", ".join(f"{gigabytes:.2f} GB" for gigabytes in one["memory"])
            print(f"{workers}: start {one['start']:.1f} s, {one['trials']} trials {one['seconds']:.1f} s, {memory}")
    print(f"{given.workers} workers are {ratio:.2f} times as fast as one process; the tables are the same")


if __name__ == "__main__":
    main()
