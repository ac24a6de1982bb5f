"""State that is there whole or not at all: files, folders, and lines of a file."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reports import files as atomic_write
from reports.files import UNFINISHED, sync, umask


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename it to ``path`` when the block ends well, else remove it.

    The file's folder is made where it is missing, but not the folder's folder: state must not go on in the ruins of a
    run's folder that has vanished. The rest is `reports.files.replacing`.
    """
    path.parent.mkdir(exist_ok=True)
    with atomic_write.replacing(path) as temporary:
        yield temporary


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a whole file, text as UTF-8."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """`replacing` for a folder: the block fills an empty one beside ``path``, which then takes its name.

    A folder can't be renamed over another one, so the old one is moved aside first and deleted afterwards; a crash in
    between leaves it under a hidden name.
    """
    path.parent.mkdir(exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-", suffix=UNFINISHED))
    try:
        yield temporary
        for file in temporary.rglob("*"):
            sync(file)
        temporary.chmod(0o777 & ~umask())
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-", suffix=UNFINISHED)) / path.name
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old.parent, ignore_errors=True)
        else:
            temporary.rename(path)
        sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def append_line(path: Path, line: str) -> None:
    """Append one line and flush it to the disk; where that fails, the file is left as it was.

    A last line that a crash cut short is ended first, so that it can't spoil this one.

    Raises:
        OSError: If it can't be written.
    """
    is_new = not path.exists()
    # Unbuffered: what failed to reach the disk must not be written again when the file is closed.
    with path.open("ab+", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        if before:
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else "\n" + line
        data = memoryview(line.encode() + b"\n")
        try:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(before)
            raise
    if is_new:
        sync(path.parent)


def make_durable_folder(path: Path) -> None:
    """Make a folder, with its parents, that is still there after a power cut."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def is_leftover(name: str) -> bool:
    """Whether a file of this name is one that a killed process was writing."""
    return name.startswith(".") and UNFINISHED in name


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files and folders that killed processes have left in a folder and below; nobody may be
    writing there."""
    for path in list(folder.rglob(".*")):
        if not is_leftover(path.name) or path.is_symlink():
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
