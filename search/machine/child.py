"""Child processes of a run: functions are called in them by name, and tell and answer over a private pair of sockets.

A child is a new interpreter, not a fork: TensorFlow's threads do not survive one. It opens no port, is in no terminal's
group (Ctrl-C and a closed terminal are the driver's affair), and ends when its end of the socket closes, however the
driver has died. While it works it says every two seconds how much processor time it has used; a driver that hears of
none for long enough takes it for hung (`Child.idle_seconds`).

Messages are pickled, memory maps as the place of their file: both ends are this program, started by the same user.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Literal

import numpy as np

_SIGN_OF_LIFE_SECONDS = 2.0
_AT_WORK_SECONDS = 0.2
"""Processor time between two signs of life: a process that only sends them uses a hundredth of that."""
_LAST_WORDS_SECONDS = 5.0
_ALIVE = b"alive "
KILLED = "killed, as the system does when memory runs out"
"""How a child was lost that nobody here has ended."""

Kind = Literal["told", "done", "failed", "lost"]


@dataclass(frozen=True)
class Message:
    """What a child has said.

    Attributes:
        number: Of the call; -1 where the child was lost between calls.
        kind: It "told" something while it worked, is "done", has "failed", or was "lost".
        value: What it told, the call's result, the exception, or in words how it was lost.
    """

    number: int
    kind: Kind
    value: Any


class Child:
    """A process that carries out calls, one after the other.

    Args:
        log: File that its stdout and stderr are appended to.
        environment: Variables to set beside this process's.
    """

    def __init__(self, log: Path, environment: Mapping[str, str] | None = None) -> None:
        ours, theirs = socket.socketpair()
        package = str(Path(__file__).parents[2])
        paths = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        with log.open("ab") as output, theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": paths, **(environment or {})},
                start_new_session=True,
            )
        self._connection = Connection(ours.detach())
        self._calls = 0
        self._used = 0.0
        self._sign_of_life = time.monotonic()
        self.lost: str | None = None

    @property
    def process_id(self) -> int:
        """Its number in the system."""
        return self._process.pid

    @property
    def idle_seconds(self) -> float:
        """Since it last told, answered or used its processor."""
        return time.monotonic() - self._sign_of_life

    def call(self, function: Callable[..., Any], *arguments: Any) -> int:
        """Call a module's function with a callable that tells (see `Message`) and some arguments.

        Returns:
            The number of the call.
        """
        number, self._calls = self._calls, self._calls + 1
        self.send(call_frame(number, function, arguments))
        return number

    def send(self, frame: bytes) -> None:
        """Pass on a `call_frame`."""
        self._sign_of_life = time.monotonic()
        with contextlib.suppress(OSError):  # it has gone, which the next messages say
            self._connection.send_bytes(frame)

    def messages(self) -> list[Message]:
        """What has arrived; the last is "lost" where it has ended."""
        return [message_of(frame) for frame in self.frames()]

    def frames(self) -> list[bytes]:
        """What has arrived, as `message_of` takes it."""
        found: list[bytes] = []
        if self.lost is not None:
            return found
        try:
            while self._connection.poll():
                frame = self._connection.recv_bytes()
                if frame.startswith(_ALIVE):
                    used = float(frame.removeprefix(_ALIVE))
                    if used - self._used < _AT_WORK_SECONDS:
                        continue
                    self._used = used
                else:
                    found.append(frame)
                self._sign_of_life = time.monotonic()
        except (EOFError, OSError):
            self.lost = self._how_it_ended()
            found.append(bytes(ForkingPickler.dumps((-1, "lost", self.lost))))
        return found

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        self._connection.close()
        self.lost = self.lost or "ended"

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(_LAST_WORDS_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if code == -signal.SIGKILL:
            return KILLED
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def call_frame(number: int, function: Callable[..., Any], arguments: Sequence[Any]) -> bytes:
    """A call as it is sent."""
    work = bytes(ForkingPickler.dumps((function, tuple(arguments))))
    return bytes(ForkingPickler.dumps((number, work)))


def message_of(frame: bytes) -> Message:
    """What a child has sent."""
    number, kind, value = pickle.loads(frame)  # noqa: S301  # from our own child
    return Message(number, kind, _rebuilt(*value) if kind == "failed" else value)


def arrived(children: Iterable[Child], seconds: float) -> None:
    """Return when one of them has said something or has ended, or after so long."""
    wait([child._connection for child in children if child.lost is None], seconds)


def _as_its_file(values: np.memmap[Any, Any]) -> tuple[Any, ...]:
    if values.filename is None or not isinstance(values.base, mmap.mmap):  # a part of one, or one without a name
        return np.asarray(values).copy().__reduce__()  # type: ignore[return-value]
    order: Literal["C", "F"] = "C" if values.flags.c_contiguous else "F"
    return np.memmap, (str(values.filename), values.dtype, "r", values.offset, values.shape, order)


ForkingPickler.register(np.memmap, _as_its_file)


def _serve(descriptor: int) -> None:
    """The child's side: calls one after the other, until the other end of the socket is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection, sending = Connection(descriptor), threading.Lock()
    calls: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
    at_work = threading.Event()

    def send(frame: Any) -> None:
        try:
            with sending:
                connection.send_bytes(frame)
        except OSError:
            os._exit(0)

    def say(number: int, kind: str, value: Any) -> None:
        send(ForkingPickler.dumps((number, kind, value)))

    def receive() -> None:
        try:
            while True:
                calls.put(pickle.loads(connection.recv_bytes()))  # noqa: S301  # from the process that started this one
        except (EOFError, OSError):
            os._exit(0)  # the driver has gone: whatever this process does, nobody waits for it

    def live() -> None:
        while at_work.wait():
            send(_ALIVE + str(time.process_time()).encode())
            time.sleep(_SIGN_OF_LIFE_SECONDS)

    for function in (receive, live):
        threading.Thread(target=function, daemon=True).start()
    while True:
        number, call = calls.get()
        at_work.set()
        try:
            function, arguments = pickle.loads(call)  # noqa: S301  # as above
            answer: tuple[str, Any] = (
                "done",
                function(lambda value, number=number: say(number, "told", value), *arguments),
            )
        except Exception as error:  # noqa: BLE001  # whoever called decides what it means
            traceback.print_exc()
            answer = "failed", _parts(error)
        at_work.clear()
        say(number, *answer)


def _parts(error: Exception) -> tuple[type[Exception], tuple[Any, ...], dict[str, Any]]:
    """An exception as it can be sent: its constructor may ask for other arguments than it has kept."""
    parts = type(error), error.args, error.__dict__
    try:
        pickle.loads(pickle.dumps(parts))  # noqa: S301
    except Exception:  # noqa: BLE001  # a library's, with whatever it holds
        return RuntimeError, (" ".join(f"{type(error).__name__}: {error}".split()),), {}
    return parts


def _rebuilt(kind: type[Exception], arguments: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(state)
    return error


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
