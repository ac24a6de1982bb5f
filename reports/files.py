"""Files that are either the old one or the whole new one, never a half.

The one place where a file is replaced: `search.files.atomic` adds to it what the state of a search needs.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LARGEST_TEXT = 64 * 2**20
"""Bytes of the largest text that is read whole; the files of a run have a few MB at most."""
UNFINISHED = ".part"
"""In the hidden name of a file that is being written: what a killed process was writing is told by it."""


def read_regular(path: Path, *, most: int = LARGEST_TEXT) -> bytes:
    """The content of a file that somebody else may have made: a pipe would be waited for, a huge one fill the memory.

    Args:
        path: The file.
        most: Bytes that it may have.

    Raises:
        OSError: If it is missing, no regular file, or larger.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        if found.st_size > most:
            raise OSError(errno.EFBIG, f"larger than {most / 2**20:.0f} MiB", str(path))
        return file.read(most)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename it to ``path`` when the block ends well, else remove it.

    The data is flushed to the disk before the rename and the folder after it, so that a crash or a power cut leaves
    either the old file or the new one. The temporary name keeps the suffix, for writers that go by it. A link is
    followed, and what is no file (a device, a pipe) is written to and not replaced.

    Args:
        path: The target; its folder has to be there.

    Raises:
        IsADirectoryError: If the target is a folder.
        OSError: If the folder can't be written to; the old file is then untouched.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        with _copied_into(path) as temporary:
            yield temporary
        return
    if path.is_symlink():
        path = path.resolve()
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~umask()
    # The same folder, for a rename is atomic only within one file system.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=UNFINISHED + path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        sync(temporary)
        # mkstemp makes files that only their owner reads; a result is as readable as the file that it replaces, or as
        # the user's umask says.
        temporary.chmod(mode)
        temporary.replace(path)
        sync(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def _copied_into(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder, f"output{path.suffix}")
        yield temporary
        with temporary.open("rb") as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)


def write_atomically(path: Path, content: bytes | str) -> Path:
    """Writes a file through a temporary neighbour and a rename.

    Args:
        path: Target; missing parent directories are made.
        content: Bytes, or text that is encoded as UTF-8 without newline translation.

    Returns:
        ``path``.

    Raises:
        OSError: If the directory can't be written to; the old file is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk; some network drives do that for files alone."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS) or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def umask() -> int:
    """The process's mask of permissions, which can't be read without being set."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
