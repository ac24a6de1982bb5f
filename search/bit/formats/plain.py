"""Plain files: no link is followed and no pipe or device waited for, and never more is read than was asked for."""

from __future__ import annotations

import stat
from pathlib import Path


def plain_size(path: Path) -> int:
    """Bytes of a plain file.

    Raises:
        ValueError: If it is a link, a folder, a pipe or a device.
        OSError: If it is absent.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path.name}, which is a link, folder, pipe or device")
    return status.st_size


def read_plain(path: Path, largest: int) -> bytes:
    """All bytes of a plain file of at most ``largest`` bytes.

    Raises:
        ValueError: If it is none, or larger.
    """
    size = plain_size(path)
    if size > largest:
        raise ValueError(f"{path.name} of {size} bytes, more than {largest}")
    return read_plain_part(path, 0, size)


def read_plain_part(path: Path, offset: int, size: int) -> bytes:
    """``size`` bytes of a plain file.

    Raises:
        ValueError: If it is none, or has not so many.
    """
    if offset + size > plain_size(path):
        raise ValueError(f"{path.name}, which breaks off before byte {offset + size}")
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)
