"""Showing a log file while others write into it, as ``tail -f`` does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_SECONDS = 0.2


@contextmanager
def following(path: Path, stream: TextIO) -> Iterator[None]:
    """Copy whatever is appended to a file inside the block to a stream.

    The writers write to the file alone, so that nothing is lost if the process dies, and the order is the file's.

    Args:
        path: The file; what it holds at the beginning is not shown.
        stream: Where to.
    """
    ended = threading.Event()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:

        def copy() -> None:
            while True:
                last = ended.wait(_SECONDS)
                if content := file.read():
                    stream.write(content.decode("utf-8", "replace"))
                    stream.flush()
                if last:
                    return

        thread = threading.Thread(target=copy, name="log", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
