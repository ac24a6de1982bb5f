"""A folder in which flock does not work, as on some network drives: the operating system's answer is replaced there."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

_real = fcntl.flock


def refuse_locks(folder: Path | str, number: int = errno.ENOLCK) -> Callable[[], None]:
    """Let flock fail for every file below a folder, in this process.

    Args:
        folder: The folder.
        number: What it fails with.

    Returns:
        What makes it work again.
    """

    def flock(file: int, operation: int) -> None:
        if str(Path(f"/proc/self/fd/{file}").readlink()).startswith(f"{os.path.realpath(folder)}{os.sep}"):
            raise OSError(number, os.strerror(number))
        _real(file, operation)

    fcntl.flock = flock

    def undo() -> None:
        fcntl.flock = _real

    return undo
