"""A process that reads weights under a watch: what it imports, opens for writing, starts, connects to, and its memory.

It has no TensorFlow to load a graph with.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

WATCHED = """
import json, os, sys
from pathlib import Path
from search.bit.carried import load_weights
from search.errors import WeightsError
from tests.support.bit_stand_in import TINY, checksums, stand_in_arrays
published = checksums(stand_in_arrays(TINY))
temporary, paths, seen = os.environ["TMPDIR"], json.load(sys.stdin), []

def watch(event, arguments):
    if event == "import" and arguments[0].split(".")[0] in ("tensorflow", "keras", "tf_keras", "tensorflow_hub"):
        raise SystemExit(f"{arguments[0]} is imported")
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        if not str(arguments[0]).startswith(temporary):
            seen.append(f"{event} {arguments[0]}")
    if event in ("socket.connect", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class"):
        seen.append(event)

sys.addaudithook(watch)

def peak_kib():
    # The greatest of this program; getrusage's is that of the process that it was started from as well.
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

answers, before = {}, peak_kib()
for path in paths:
    try:
        weights = load_weights(Path(path), TINY, published)
        answers[path] = ["weights", weights.fingerprint, weights.verification]
    except WeightsError as error:
        answers[path] = ["line", str(error), ""]
    except BaseException as error:
        answers[path] = ["raw", repr(error), ""]
left = os.listdir(temporary)
print(json.dumps(dict(answers=answers, seen=seen, left=left, peak_kib=peak_kib() - before)))
"""


def read_watched(paths: Iterable[Path], temporary: Path) -> dict[str, Any]:
    """What comes of reading each, in a process that is watched.

    Args:
        paths: What to read, as TINY.
        temporary: A folder for its temporary files, made here.

    Returns:
        `answers` (path to "weights", "line" or "raw", text, verification), `seen`, `left` in the folder, `peak_kib`
        above what the process had after its imports.
    """
    temporary.mkdir()
    answer = subprocess.run(
        [sys.executable, "-B", "-c", WATCHED],
        input=json.dumps([str(path) for path in paths]),
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)
