"""Executor of several processes: on this host each has a part of the cores or a GPU of its own, and no port is opened.

The processes belong to a run, the executor to one search of it: a nested run's searches find the graphs of those
before. A process that is lost (killed, out of memory, silent) is replaced, and what it had is given to another one; the
states of the others are files that it has not touched.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from search.errors import RunError
from search.machine.child import KILLED, Child, Message, arrived
from search.machine.libraries import Arithmetic
from search.machine.places import WorkerPlace
from search.trials.worker import Work, Worker
from search.tuner.executors import remote_worker
from search.tuner.executors.dispatch import MOST_LOSSES, Dispatch, Task

SILENT_SECONDS = 300.0
"""A process that says nothing and uses no processor time for so long is taken for hung; an epoch may take longer."""

NO_ROOM_SECONDS = 600.0
"""Where there is no room for any process for so long, the search ends; the same command goes on."""

_LOOK_SECONDS = 1.0
_AHEAD = 3
"""Works that wait for each process: one, so that none waits for the driver, the others to choose from."""


class RemoteProcess(Protocol):
    """A process that carries out calls, as `search.machine.child.Child` does."""

    @property
    def lost(self) -> str | None:
        """How it was lost, in words; None while it lives."""

    @property
    def idle_seconds(self) -> float:
        """Since it last told, answered or used its processor."""

    def call(self, function: Callable[..., Any], *arguments: Any) -> int:
        """Call a module's function; gives the call's number."""

    def messages(self) -> list[Message]:
        """What has arrived."""

    def end(self) -> None:
        """Kill it."""


class Host(Protocol):
    """Where processes are started."""

    def start(self, place: WorkerPlace, log: Path) -> RemoteProcess | None:
        """Start one; None where there is no room for it now."""

    def arrived(self, processes: Sequence[Any], seconds: float) -> None:
        """Return when one of them has said something or has ended, or after so long."""


def _no_worker(found: str) -> RunError:
    remedy = "Give the command again when that is mended: it goes on, and finished parts are kept."
    return RunError(expected="a worker to go on with", found=found, remedy=remedy)


class ThisHost:
    """Processes of this machine."""

    def start(self, place: WorkerPlace, log: Path) -> Child:
        """A child of this process."""
        return Child(log, {"OMP_NUM_THREADS": str(place.cores), **place.environment})

    def arrived(self, processes: Sequence[Any], seconds: float) -> None:
        """As `search.machine.child.arrived`."""
        arrived(processes, seconds)


class _Seat:
    """A worker's place, where one process may follow another."""

    def __init__(self, host: Host, place: WorkerPlace, log: Path, start: tuple[Arithmetic, bool]) -> None:
        self._host, self.place, self.log, self._start = host, place, log, start
        self.child: RemoteProcess | None = None
        self.has_started, self.failed_starts = False, 0
        self.task: Task | None = None
        self._number = -1
        self._opened: Worker | None = None

    def is_taken(self) -> bool:
        """Whether a process is there, or one could be begun."""
        if self.child is None and self.failed_starts < MOST_LOSSES:
            self.child = self._host.start(self.place, self.log)
            self._opened, self.has_started = None, False
            if self.child is not None:
                self.child.call(remote_worker.start, self.place.pinned, *self._start)
        return self.child is not None

    def give(self, task: Task, worker: Worker) -> None:
        assert self.child is not None
        if self._opened is not worker:
            self.child.call(remote_worker.open_worker, worker)
            self._opened = worker
        self.task = task
        self._number = self.child.call(remote_worker.carry_out, task.work)

    def messages(self) -> list[Message]:
        """What is said of the task, and what is lost; that the process has started or opened a search is no news."""
        if self.child is None or self.task is None:
            return []
        arrived = self.child.messages()
        if any(each.kind != "lost" for each in arrived):
            self.has_started, self.failed_starts = True, 0
        of_interest = [each for each in arrived if each.number == self._number or each.kind != "done"]
        if self.child.lost is None and self.child.idle_seconds > SILENT_SECONDS:
            of_interest.append(Message(-1, "lost", f"silent for {SILENT_SECONDS:.0f} s and ended"))
        return of_interest

    def end(self) -> None:
        if self.child is not None:
            self.child.end()
        self.child = None


class WorkerProcesses:
    """The worker processes of a run; each starts when it is first given something.

    Args:
        places: Where they work, one or more.
        logs: Folder of their logs.
        arithmetic: As `search.machine.libraries.start_tensorflow` takes it; so is ``deterministic``.
        deterministic: See there.
        say: Told in a line of each process that was lost.
        host: Where they are started.
        note: Told what each does, in words, by its name, whenever that changes.
    """

    def __init__(
        self,
        places: Sequence[WorkerPlace],
        logs: Path,
        *,
        arithmetic: Arithmetic,
        deterministic: bool,
        say: Callable[[str], None],
        host: Host | None = None,
        note: Callable[[Mapping[str, str]], None] = lambda workers: None,
    ) -> None:
        self._logs, self.say, self.host, self.note = logs, say, host or ThisHost(), note
        self.all = [
            _Seat(self.host, place, logs / f"worker-{number}.log", (arithmetic, deterministic))
            for number, place in enumerate(places, 1)
        ]

    def __enter__(self) -> Self:
        self._logs.mkdir(exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for seat in self.all:
            seat.end()


class ProcessExecutor:
    """An executor of the works of one search.

    Args:
        worker: What each process needs to hold.
        processes: Those of the run, entered.
    """

    def __init__(self, worker: Worker, processes: WorkerProcesses) -> None:
        self._worker, self._processes = worker, processes
        self._dispatch: Dispatch[int] = Dispatch()
        self._results: deque[tuple[Work, Any]] = deque()

    @property
    def workers(self) -> int:
        """Number of processes."""
        return len(self._processes.all)

    @property
    def has_room(self) -> bool:
        """Whether fewer works wait than there is something to choose from, whoever is free."""
        return len(self._dispatch.waiting) < _AHEAD * self.workers

    def submit(self, work: Work, on_epoch: Callable[[int], None], urgency: float = 0.0) -> None:
        """Put it among what waits."""
        self._dispatch.submit(work, on_epoch, urgency)

    def next_result(self) -> tuple[Work, Any]:
        """Keep all processes at work until one has a result."""
        last_at_work = time.monotonic()
        while not self._results:
            self._give()
            busy = [seat.child for seat in self._processes.all if seat.task is not None]
            if busy:
                last_at_work = time.monotonic()
                self._processes.host.arrived(busy, _LOOK_SECONDS)
            elif time.monotonic() - last_at_work > NO_ROOM_SECONDS:
                raise _no_worker(f"no room for one in {NO_ROOM_SECONDS:.0f} s")
            else:
                time.sleep(_LOOK_SECONDS)
            for number, seat in enumerate(self._processes.all):
                for message in seat.messages():
                    self._hear(number, seat, message)
        return self._results.popleft()

    def _give(self) -> None:
        given = False
        for number, seat in enumerate(self._processes.all):
            if seat.task is None and self._dispatch.waiting and seat.is_taken():
                seat.give(self._dispatch.give(number), self._worker)
                given = True
        if given:
            seats = self._processes.all
            self._processes.note({seat.place.name: seat.task.work.name if seat.task else "" for seat in seats})

    def _hear(self, number: int, seat: _Seat, message: Message) -> None:
        task = seat.task
        if task is None:
            return
        if message.kind == "told":
            task.on_epoch(message.value)
            return
        seat.task = None
        if message.kind == "failed":
            raise message.value
        if message.kind == "lost":
            seat.end()
            self._dispatch.lost(number)
            (self._lost if seat.has_started else self._not_started)(seat, task, message.value)
        else:
            self._results.append((task.work, message.value))

    def _lost(self, seat: _Seat, task: Task, reason: str) -> None:
        task.losses += 1
        if task.losses < MOST_LOSSES:
            self._processes.say(f"{seat.place.name} was lost, {reason}; {task.work.name} is given to another")
            self._dispatch.waiting.append(task)
            return
        words = f"three workers were lost with it, the last one {reason}; see {seat.log}"
        if reason == KILLED:
            smaller = self._worker.trainers.smaller(self._worker.settings.batch_size)
            words += f"; try fewer --workers, or {smaller} as a run of another --name"
        self._results.append((task.work, task.work.given_up(words)))

    def _not_started(self, seat: _Seat, task: Task, reason: str) -> None:
        """No work's fault: it waits on, and a place where three in a row don't start is left empty."""
        seat.failed_starts += 1
        self._processes.say(f"{seat.place.name} did not start, {reason}; see {seat.log}")
        self._dispatch.waiting.append(task)
        if all(each.failed_starts == MOST_LOSSES for each in self._processes.all):
            raise _no_worker("none that starts")

    def cancel(self, unwanted: Callable[[Work], bool]) -> None:
        """Drop what is not wanted any more of what waits."""
        self._dispatch.waiting = [task for task in self._dispatch.waiting if not unwanted(task.work)]

    def at_work(self) -> Mapping[str, Work]:
        """What each process has."""
        return {seat.place.name: task.work for seat in self._processes.all if (task := seat.task) is not None}

    def flush(self) -> None:
        """Nothing to do: a process answers when its files are on the disk."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for seat in self._processes.all:
            if seat.task is not None:  # nobody waits for it any more
                seat.end()
                seat.task = None
