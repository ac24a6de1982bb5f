"""A disk that is full or not writable, a folder that has vanished, a memory that is too small: one line each."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mammo_data.errors import DataError
from reports.errors import ReportError
from search.errors import RunError, UserError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}
# Less has no room for a run's first file.
_LITTLE = 2**16
_NO_MEMORY = re.compile(
    "resource_?exhausted|out[ _]of[ _]memory|alloc_failed|bad_alloc|cannot parse tensor from proto|"
    "can't start new thread|failed to map segment|cannot allocate memory"
)


@contextmanager
def machine_failures_in_one_line(folder: Path, *, smaller: Callable[[], str]) -> Iterator[None]:
    """Turn what the machine refuses inside the block into one line; what is on the disk is a state to go on from.

    Args:
        folder: The run's folder.
        smaller: Gives what to try where the memory was too small, as it is typed.

    Raises:
        RunError: If a file could not be read or written, or the memory was too small.
    """
    try:
        yield
    except (UserError, DataError, ReportError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise RunError(
                expected="enough memory",
                found=first_line(error),
                remedy=f"End other programs, or try {smaller()}, as a run of another --name.",
            ) from error
        if is_disk_failure(error):
            raise disk_failure(error, folder) from error
        raise


def nearest_folder(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def require_room(folder: Path, *, setting: str) -> None:
    """See that something can be written where a folder is, or will be made; nothing is left behind.

    Args:
        folder: The folder.
        setting: The setting that says where it is.

    Raises:
        RunError: If the disk is full, or nothing may be written there.
    """
    there = nearest_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(bytes(_LITTLE))
            file.flush()
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise disk_failure(OSError(error.errno, os.strerror(error.errno), str(there / "a file")), there) from None
        raise RunError(
            expected=f"a folder that can be made or written to at {folder}",
            found=error.strerror or str(error),
            remedy=f"Change {setting}, or the permissions of the folder above.",
        ) from None


def disk_failure(error: BaseException, folder: Path) -> RunError:
    """The line about a disk failure."""
    number, text = getattr(error, "errno", None), str(error)

    def is_one_of(numbers: set[int]) -> bool:
        return number in numbers or (number is None and any(os.strerror(each) in text for each in numbers))

    if is_one_of(_NO_ROOM):
        remedy = "Make room; the same command then goes on."
    elif is_one_of(_NOT_WRITABLE):
        remedy = "Make it writable; the same command then goes on."
    elif not folder.is_dir():
        return RunError(
            expected=f"the run's folder {folder}",
            found=f"none ({first_line(error)})",
            remedy="Bring it back, and the same command goes on; or begin anew.",
        )
    else:
        remedy = "Mend the disk or the folder; the same command then goes on."
    place = getattr(error, "filename", None) or folder
    return RunError(expected=f"to read and write in {Path(place).parent}", found=first_line(error), remedy=remedy)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, or what caused it, says that memory of the host or of the GPU has run out."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    # By name: TensorFlow and JAX are not to be imported for this. A full disk has the same type in TensorFlow; a large
    # constant of a graph that finds no memory has the last one.
    if _NO_MEMORY.search(f"{type(error).__name__} {error}".lower()) and not is_disk_failure(error):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)


def is_disk_failure(error: BaseException) -> bool:
    """Whether an exception says that a file could not be read or written."""
    if isinstance(error, OSError):
        return error.errno != errno.ENOMEM
    # TensorFlow's files have errors of their own, with the system's words in them.
    words = [os.strerror(number) for number in (*_NO_ROOM, *_NOT_WRITABLE, errno.EIO, errno.ENOENT, errno.ESTALE)]
    return type(error).__module__.startswith(("tensorflow", "h5py")) and any(word in str(error) for word in words)


def first_line(error: BaseException) -> str:
    """Type and text of an exception in one line of bounded length."""
    text = " ".join(str(error).split())
    # Both ends tell something: many texts begin with what was tried and end with the system's words.
    text = text if len(text) <= 200 else f"{text[:120]} … {text[-77:]}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
