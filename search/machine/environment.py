"""The environment that the program needs, set before anything is imported that reads it.

A notebook's shell passes MPLBACKEND on, another project's profile KERAS_BACKEND; a container may have no home folder,
and a scheduler closes streams. None of it may change a result or end a run.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import sys
import tempfile
from pathlib import Path

from search.errors import UserError

_KERAS, _ONEDNN = "KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS"
# Other projects' switches: an older Keras, another compiler or a flag that ends TensorFlow, films that OpenCV refuses.
_SWITCHES = (
    *("TF_USE_LEGACY_KERAS", "TF_XLA_FLAGS"),
    *(f"OPENCV_IO_MAX_IMAGE_{name}" for name in ("PIXELS", "WIDTH", "HEIGHT")),
)
# Where Keras, Matplotlib and our own caches look, each by way of the home folder.
_CACHE = "XDG_CACHE_HOME"


RAISE_LIMIT = "Raise the limit of address space (ulimit -v unlimited, or the batch system's memory) to 16 GB or more."
# Bytes of address space. On two cores: with 2.5 GB TensorFlow's import spins for ever in an OpenBLAS that can't
# allocate, with 3.1 GB it aborts in native code, with 4 GB a small run ends well. Films need 0.4 GB, arrays 0.13 GB.
FOR_TENSORFLOW, FOR_FILMS, FOR_ARRAYS = (kilobytes * 1024 for kilobytes in (4_000_000, 500_000, 150_000))


def address_space() -> float:
    """Bytes that the process may map (ulimit -v), infinite where no limit is set."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return math.inf if limit == resource.RLIM_INFINITY else limit


def host_memory() -> int:
    """Bytes of memory that this process may have: the machine's, or what its control group or a limit leaves of it."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), address_space()]
    try:
        own = Path(f"/sys/fs/cgroup{Path('/proc/self/cgroup').read_text().rpartition('::')[2].strip()}")
    except OSError:
        own = Path("/sys/fs/cgroup")
    limits = [folder / "memory.max" for folder in (own, *own.parents)]
    for limit in (*limits, Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        with contextlib.suppress(OSError, ValueError):  # there is none, or it is "max"
            found.append(int(limit.read_text()))
    return int(min(found))


def require_address_space(least: int, purpose: str) -> None:
    """See that libraries find room before they are loaded: what they do without ends in native code.

    Args:
        least: Bytes.
        purpose: What for, in words.

    Raises:
        UserError: There is less.
    """
    if (room := address_space()) < least:
        raise UserError(
            expected=f"room in memory for {purpose}",
            found=f"a limit of {room // 1024:.0f} kB of address space",
            remedy=RAISE_LIMIT,
        )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settle_environment(*, figures: str | None = "Agg") -> str | None:
    """Set what the program's libraries read, for this process and its children.

    Args:
        figures: The backend of figures that others draw through pyplot; None leaves it.

    Returns:
        A line for the user where something could not be had as usual, else None.
    """
    open_closed_streams()
    settle_libraries()
    if figures is not None:
        os.environ["MPLBACKEND"] = figures
    for name in _SWITCHES:
        os.environ.pop(name, None)
    if address_space() < FOR_TENSORFLOW:
        # Each of OpenBLAS's threads claims room of its own. Nothing that a search computes is computed here.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
    if _home_is_known():
        return None
    os.environ["HOME"] = str(home := stand_in_home())
    if Path(os.environ.get(_CACHE, "")).is_absolute():
        return None
    return f"no home folder is known; weights and prepared images are kept in {home / '.cache'} (set HOME or {_CACHE})"


def settle_libraries(*, onednn: bool = True) -> None:
    """Set what TensorFlow and Keras read when they are loaded.

    Args:
        onednn: Whether TensorFlow asks oneDNN for convolutions and products. By itself it does with AVX-512 alone; on
            other processors (AMD's Zen 3) a step took twice as long.
    """
    os.environ.update({_KERAS: "tensorflow", _ONEDNN: str(int(onednn))})


def stand_in_home() -> Path:
    """The home folder where none is known: a temporary one."""
    return Path(tempfile.gettempdir()) / f"mammo-search-{os.getuid() if hasattr(os, 'getuid') else 'home'}"


def _home_is_known() -> bool:
    try:
        home = Path.home()
    except RuntimeError:
        return False
    # A container gives "/" to an id without a home.
    return home.is_absolute() and (home != Path(home.anchor) or os.access(home, os.W_OK))


def open_closed_streams() -> None:
    """Stand the null device in for each of stdin, stdout and stderr that is closed: a file would take its number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False, encoding="utf-8"))  # noqa: SIM115


def silence_stdout() -> None:
    """Let what is still to be written to a stdout that nobody reads any more go nowhere, Python's last flush too."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
