"""A process that has loaded the libraries and none of the product, and forks a child for each run of tests.

Orders come on standard input, a JSON object a line: ``{"arguments": pytest's, "log": path, "timeout": seconds}``. For
each, a line with ``{"code": exit code or null where time ran out, "seconds": wall time}`` goes to standard output.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def _serve() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import cv2  # noqa: F401
    import keras_tuner  # noqa: F401
    import matplotlib.font_manager  # noqa: F401
    import pandas  # noqa: F401
    import pydantic  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.metrics  # noqa: F401
    import tensorflow  # noqa: F401
    import typer  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        begin = time.monotonic()
        code = _run(order)
        print(json.dumps({"code": code, "seconds": round(time.monotonic() - begin, 2)}), flush=True)


def _run(order: dict[str, Any]) -> int | None:
    parent, end = os.getppid(), time.monotonic() + order["timeout"]
    child = os.fork()
    if not child:
        _child(order)
    try:
        while time.monotonic() < end and os.getppid() == parent:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        return None
    finally:
        # What a test has started, too, for a wrong line may have kept the test from ending it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _child(order: dict[str, Any]) -> None:
    """Never returns."""
    os.setsid()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, file in ((0, null), (1, log), (2, log)):
        os.dup2(file, descriptor)
    code = 3
    try:
        import pytest

        sys.argv = ["pytest", *order["arguments"]]
        sys.path.insert(0, str(Path.cwd()))
        code = int(pytest.main(order["arguments"]))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
