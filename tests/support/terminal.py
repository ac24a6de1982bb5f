"""A terminal of a given size with a program in it, and what it shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyte


class Terminal:
    """A process on a pseudo-terminal.

    Args:
        command: Program and arguments.
        columns: Width.
        rows: Height.
        cwd: Working folder.
        environment: Variables to set; None unsets one.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int,
        rows: int,
        cwd: Path,
        environment: dict[str, str | None] | None = None,
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=2000)
        self._stream = pyte.ByteStream(self.screen)
        self.output = b""
        others = ("COLUMNS", "LINES", "NO_COLOR", "CI", "JPY_PARENT_PID")
        variables = {name: value for name, value in os.environ.items() if name not in others}
        variables["TERM"] = "xterm-256color"
        for name, value in (environment or {}).items():
            variables.pop(name, None)
            if value is not None:
                variables[name] = value
        self._master, slave = pty.openpty()
        self._set_size(columns, rows)
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=variables, start_new_session=True,
            close_fds=True,
        )  # fmt: skip
        os.close(slave)

    def end(self) -> None:
        """Kill the program, if it is still there."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def type(self, text: str) -> None:
        """Keys."""
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def wait_until(self, condition: Callable[[str], bool], timeout: float = 60.0) -> str:
        """Read until the screen fulfils a condition; gives the screen."""
        until = time.monotonic() + timeout
        while not condition(self.text):
            if not self._read(0.2) or time.monotonic() > until:
                raise AssertionError(f"the terminal shows\n{self.text}")
        return self.text

    def wait(self, timeout: float = 120.0) -> int:
        """Read until the program has ended; gives its exit code."""
        until = time.monotonic() + timeout
        while self._read(0.2):
            if time.monotonic() > until:
                self.process.kill()
                raise AssertionError(f"still running; the terminal shows\n{self.text}")
        return self.process.wait()

    @property
    def text(self) -> str:
        """What the screen shows now."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    @property
    def everything(self) -> str:
        """The screen with what has scrolled off it."""
        columns = range(self.screen.columns)
        above = ["".join(line[column].data for column in columns) for line in self.screen.history.top]
        return "\n".join(line.rstrip() for line in [*above, *self.screen.display])

    @property
    def colours(self) -> bool:
        """Whether any colour was set."""
        return re.search(rb"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7]|38;[\d;]+)m", self.output) is not None

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self, seconds: float) -> bool:
        """Whether there may be more."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return True
        try:
            content = os.read(self._master, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            content = b""
        self.output += content
        self._stream.feed(content)
        return bool(content)
