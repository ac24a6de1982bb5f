"""Files and folders that are there whole or not at all, and digests of plain values."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BUILDING = ".preparing-"
_STALE_SECONDS = 24 * 3600


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place and rename it, so that a reader finds all of it or what was there before.

    Raises:
        OSError: It can't be written; what was there before still is.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_to_fill(parent: Path) -> Iterator[Path]:
    """A new folder below ``parent``, gone at the end unless it was renamed; those of killed processes are removed."""
    parent.mkdir(parents=True, exist_ok=True)
    for left_over in parent.glob(f"{_BUILDING}*"):
        # Another process that is still at work has a younger one.
        if time.time() - left_over.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(left_over, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=parent))
    try:
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk; some drives know files alone."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS) or not path.is_dir():
            raise
    finally:
        os.close(handle)


def sha256_of(value: object) -> str:
    """SHA-256 (hex) of a value of JSON's types, as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
