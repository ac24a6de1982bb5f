"""Another process that owns a run's folder until it is killed or the block ends."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT

_OWNER = """
import sys
from pathlib import Path
from search.run_folder.lock import owned
from tests.support.no_locks import refuse_locks
folder = Path(sys.argv[1])
if sys.argv[2]:
    refuse_locks(folder)
with owned(folder):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def other_owner(folder: Path, *, locks: bool = True) -> Iterator[subprocess.Popen[str]]:
    """The process; with ``locks`` False the operating system refuses it flock below the folder."""
    command = [sys.executable, "-c", _OWNER, str(folder), "" if locks else "refused"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()
