"""Who trains the works of a run: this process, or as many as were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from search.job import Job
from search.run_folder.session import note_workers
from search.trials.worker import Worker
from search.tuner.executors.base import Executor
from search.tuner.executors.in_process import InProcessExecutor
from search.tuner.executors.processes import ProcessExecutor, WorkerProcesses


@contextmanager
def executors(job: Job, *, deterministic: bool, say: Callable[[str], None]) -> Iterator[Callable[[Worker], Executor]]:
    """Inside the block, a function that makes the executor of a search.

    Args:
        job: Says how many workers there are, and where.
        deterministic: As `search.machine.libraries.start_tensorflow` takes it.
        say: Told in a line of each process that was lost.
    """
    if len(job.places) == 1:
        yield InProcessExecutor
        return
    logs, note = job.directory.worker_logs, partial(note_workers, job.directory.path)
    with WorkerProcesses(job.places, logs, deterministic=deterministic, say=say, note=note) as processes:
        yield partial(ProcessExecutor, processes=processes)
