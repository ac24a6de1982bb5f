"""Runs the command line many times without loading the libraries each time, and kills it where it is told to.

A process of its own, which has imported everything and started nothing, forks a child for each attempt. The child may
be told to send itself SIGKILL in the place of its numbered write: before a file is flushed, before it is renamed,
before something is deleted, before KerasTuner writes a file. This is the only injection point, and it is here, in the
tests.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Attempt:
    """How one attempt ended.

    Attributes:
        code: Exit code; negative: the signal that killed it (SIGKILL, or SIGALRM where it was killed after a write).
        writes: What each write was to, in order, "fsync /path", "replace /path", …; empty unless traced.
        messages: What it wrote on stderr.
        output: What it wrote on stdout.
    """

    code: int
    writes: tuple[str, ...]
    messages: str
    output: str


class ForkServer:
    """The parent's side."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fork_server"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, workspace: Path, *arguments: str, kill_at: int = 0, kill_in: str = "", kill_after: float = 0.0
    ) -> Attempt:
        """Run ``mammo-search ARGUMENTS`` in a folder.

        Args:
            workspace: The current folder of the command.
            arguments: Its arguments.
            kill_at: Number of the write, from 1, in whose place it is killed; 0: of none.
            kill_in: It is killed in the place of its first write to a path with this in it; "": of none.
            kill_after: It is killed so many seconds after that write instead, wherever it is then.
        """
        order = {
            "workspace": str(workspace),
            "arguments": arguments,
            "kill_at": kill_at,
            "kill_in": kill_in,
            "kill_after": kill_after,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        trace = workspace / "trace.txt"
        return Attempt(
            code=code,
            writes=tuple(trace.read_text().splitlines()),
            messages=(workspace / "stderr.txt").read_text(),
            output=(workspace / "stdout.txt").read_text(),
        )

    def close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def _serve() -> None:
    import keras_tuner  # noqa: F401
    import tensorflow as tf  # noqa: F401

    import search.boundary.views
    import search.final.finish
    import search.protocols.run
    import search.tuner.search  # noqa: F401

    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            _attempt(order)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _attempt(order: dict[str, object]) -> None:
    """In the child: never returns."""
    os.chdir(str(order["workspace"]))
    for descriptor, name in ((1, "stdout.txt"), (2, "stderr.txt")):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
    trace = Path("trace.txt").open("w")  # noqa: SIM115  (the process ends with it open)
    _inject(trace, int(str(order["kill_at"])), str(order["kill_in"]), float(str(order["kill_after"])))
    sys.argv = ["mammo-search", *order["arguments"]]
    from search.cli.main import main

    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  (whatever it was, the child has to end here)
        import traceback

        traceback.print_exc()
        code = 99
    trace.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _inject(trace, kill_at: int, kill_in: str, kill_after: float) -> None:
    import keras_tuner.src.utils as tuner_files

    count = 0
    lock, armed = threading.Lock(), threading.Event()

    def passed(what: str, where: object) -> None:
        nonlocal count
        with lock:
            count += 1
            if isinstance(where, int):
                where = Path(f"/proc/self/fd/{where}").readlink()
            trace.write(f"{what} {where}\n")
            if count == kill_at or (kill_in and kill_in in str(where) and not armed.is_set()):
                armed.set()
                trace.flush()
                if not kill_after:
                    os.kill(os.getpid(), signal.SIGKILL)
                # Its default action is the kernel's: the process ends at once, whatever its threads are doing.
                signal.setitimer(signal.ITIMER_REAL, kill_after)

    def counted(name: str, function):
        def instead(path, *arguments, **settings):
            passed(name, path)
            return function(path, *arguments, **settings)

        return instead

    for name in ("fsync", "replace", "rename", "unlink", "rmdir"):
        setattr(os, name, counted(name, getattr(os, name)))
    tuner_files.save_json = counted("keras_tuner", tuner_files.save_json)


if __name__ == "__main__":
    _serve()
