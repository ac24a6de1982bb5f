"""The environment that the program needs, set before anything is imported that reads it.

A notebook's shell passes MPLBACKEND on, another project's profile KERAS_BACKEND; a container may have no home folder,
and a scheduler closes streams. None of it may change a result or end a run.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

_SETTINGS = {"KERAS_BACKEND": "tensorflow", "MPLBACKEND": "Agg"}
# Where Keras, Matplotlib and our own caches look, each by way of the home folder.
_CACHE = "XDG_CACHE_HOME"


def settle_environment() -> str | None:
    """Set what the program's libraries read, for this process and its children.

    Returns:
        A line for the user where something could not be had as usual, else None.
    """
    open_closed_streams()
    os.environ.update(_SETTINGS)
    if _home_is_known():
        return None
    home = Path(tempfile.gettempdir()) / f"mammo-search-{os.getuid() if hasattr(os, 'getuid') else 'home'}"
    os.environ["HOME"] = str(home)
    if Path(os.environ.get(_CACHE, "")).is_absolute():
        return None
    return f"no home folder is known; weights and prepared images are kept in {home / '.cache'} (set HOME or {_CACHE})"


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
