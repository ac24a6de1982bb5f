"""How much memory and time reading a file takes, in a process that has imported everything and done nothing else.

One process serves all measurements: it forks a child for each. The kernel's mark of the largest resident set is put
back in the child first (`ru_maxrss` has no such reset, and a child inherits its parent's across an exec).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

# All that a reading may import, so that no import is measured.
import cv2  # noqa: F401
import h5py  # noqa: F401
import pydicom.pixels
import pydicom.pixels.decoders  # noqa: F401

from mammo_data import DataError, PreparationSettings, image_files, open_source, prepare, read_film, standardise
from mammo_data.decoding import dicom  # noqa: F401
from mammo_data.sources import h5  # noqa: F401
from mammo_data.splits import Split

ROOT = Path(__file__).parents[2]
LARGEST_PEAK = 600
"""Megabytes above the process after its imports that any file may cost."""


@dataclass(frozen=True)
class Cost:
    """What one reading took.

    Attributes:
        peak: Megabytes above the process after its imports.
        seconds: Of the processor, all threads together: others may be at work on the machine.
        said: The error's text, "" where the file was read; the kind of error stands before an unexpected one.
    """

    peak: float
    seconds: float
    said: str


class Meter:
    """A process to measure in; `close` it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.peak_memory"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def cost(self, what: str, path: Path) -> Cost:
        """Read ``path`` as "films" of a prediction, as a "set" that is prepared, or as a "split"."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([what, str(path)]), file=self._process.stdin, flush=True)
        return Cost(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


def _read(what: str, path: Path) -> None:
    if what == "split":
        Split.read_csv(path)
    elif what == "set":
        with tempfile.TemporaryDirectory() as cache:
            prepare(open_source(path), PreparationSettings(image_size=224), Path(cache))
    else:
        mistakes = []
        for file in image_files([path]):
            try:
                if isinstance(file.data, DataError):
                    raise file.data
                film, breast = read_film(file.data, file.name)
                standardise(film, (), PreparationSettings(), breast)
            except DataError as error:
                mistakes.append(error)
        if mistakes:
            raise mistakes[0]


def _resident() -> dict[str, float]:
    status = Path("/proc/self/status")
    if not status.exists():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        return {"VmHWM": peak, "VmRSS": peak}
    lines = (line.split() for line in status.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) / 1000 for words in lines if words[0] in ("VmHWM:", "VmRSS:")}


def _serve() -> None:
    for line in sys.stdin:
        what, path = json.loads(line)
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            continue
        marks = Path("/proc/self/clear_refs")
        if marks.exists():
            marks.write_text("5")
        before, start, said = _resident()["VmRSS"], time.process_time(), ""
        try:
            _read(what, Path(path))
        except DataError as error:
            said = str(error)
        except BaseException as error:  # noqa: BLE001
            said = f"{type(error).__name__}: {error}"
        seconds = time.process_time() - start
        print(json.dumps({"peak": _resident()["VmHWM"] - before, "seconds": seconds, "said": said}), flush=True)
        os._exit(0)


if __name__ == "__main__":
    _serve()
