"""Who trains the works of a run: this process, or as many as were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from search.job import Job
from search.machine.libraries import Arithmetic
from search.run_folder.session import note_workers
from search.trials.worker import Worker
from search.tuner.executors.base import Executor
from search.tuner.executors.in_process import InProcessExecutor
from search.tuner.executors.processes import ProcessExecutor, WorkerProcesses
from search.tuner.executors.ray import RayCluster


@contextmanager
def executors(
    job: Job, *, arithmetic: Arithmetic, say: Callable[[str], None]
) -> Iterator[Callable[[Worker], Executor]]:
    """Inside the block, a function that makes the executor of a search.

    Args:
        job: Says how many workers there are, and where.
        arithmetic: What each computes with, whatever the cores that it has.
        say: Told in a line of each process that was lost.

    Raises:
        ConfigError: If a cluster has no room for them.
        RunError: If there is no such cluster.
    """
    if job.worker_count == 1 and job.ray_address is None:
        yield InProcessExecutor
        return
    with ExitStack() as stack:
        places, host = job.places, None
        if job.ray_address is not None:
            host = RayCluster(job.ray_address, say)
            stack.callback(host.leave)
            places = host.places(job.worker_count)
        processes = WorkerProcesses(
            places,
            job.directory.worker_logs,
            arithmetic=arithmetic,
            deterministic=job.config.search.deterministic,
            say=say,
            host=host,
            note=partial(note_workers, job.directory.path),
        )
        yield partial(ProcessExecutor, processes=stack.enter_context(processes))
