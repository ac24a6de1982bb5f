"""The ledger of hold-out readings: each time test patients were evaluated, a line.

A test set that is looked at after every change is a validation set. The ledger lies beside all runs, so that runs
share it, and counts by who is held out, whatever the folds of the others; the report prints the count. Schema of a
line: ``{"split": fingerprint of the test patients, "run": name, "time": ISO 8601, "crc32": 8 hex digits of the rest as
JSON with sorted keys}``; older lines have no checksum. Each line goes into ``.holdout_ledger.jsonl.copy`` first: what
one of the two files has lost to damage is read from the other.
"""

from __future__ import annotations

import datetime
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from search.files.atomic import append_line

LEDGER = "holdout_ledger.jsonl"
LEDGER_COPY = f".{LEDGER}.copy"
_CHECKSUM = "crc32"


@dataclass(frozen=True)
class Reading:
    """One evaluation of held-out patients.

    Attributes:
        run: Name of the run that read.
        time: When, ISO 8601.
    """

    run: str
    time: str


def record_reading(runs: Path, split: str, run: str) -> tuple[Reading, ...]:
    """Append a reading.

    Args:
        runs: Folder of all runs.
        split: Fingerprint of its test patients.
        run: Name of the run that reads.

    Returns:
        All readings of the test patients of this split, this one among them.
    """
    entry = {"split": split, "run": run, "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    line = json.dumps({**entry, _CHECKSUM: _checksum(entry)})
    for name in (LEDGER_COPY, LEDGER):
        append_line(runs / name, line)
    return readings(runs, split)


def readings(runs: Path, split: str) -> tuple[Reading, ...]:
    """When the test patients of a split have been read, and by which runs, oldest first."""
    first, second = (Counter(_entries(runs / name)) for name in (LEDGER, LEDGER_COPY))
    # A line that both have is one reading; the same line twice in one of them is two.
    return tuple(Reading(run, time) for time, run, of in sorted((first | second).elements()) if of == split)


def _entries(path: Path) -> Iterator[tuple[str, str, str]]:
    """(time, run, split) of each line that is as it was written."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            entry = json.loads(line)
            written = entry.pop(_CHECKSUM, None)
            found = (str(entry["time"]), str(entry["run"]), str(entry["split"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # damaged, or cut short by a crash
        if written is None or written == _checksum(entry):
            yield found


def _checksum(entry: Mapping[str, object]) -> str:
    return f"{zlib.crc32(json.dumps(entry, sort_keys=True).encode()):08x}"
