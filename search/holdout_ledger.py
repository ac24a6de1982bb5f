"""The ledger of hold-out readings: each time test patients were evaluated, a line.

A test set that is looked at after every change is a validation set. The ledger lies beside all runs, so that runs
share it, and counts by the split's fingerprint; the report prints the count. Schema of a line: ``{"split": fingerprint,
"run": name, "time": ISO 8601}``.
"""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path

LEDGER = "holdout_ledger.jsonl"


def record_reading(runs: Path, split: str, run: str) -> int:
    """Append a reading.

    Args:
        runs: Folder of all runs.
        split: Fingerprint of the split.
        run: Name of the run that reads.

    Returns:
        How often the test patients of this split have been read, this time included.
    """
    path = runs / LEDGER
    entry = {"split": split, "run": run, "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    with path.open("ab") as file:
        file.write(json.dumps(entry).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return readings(runs, split)


def readings(runs: Path, split: str) -> int:
    """How often the test patients of a split have been read."""
    path = runs / LEDGER
    if not path.is_file():
        return 0
    lines = path.read_text(encoding="utf-8").splitlines()
    return sum(_split_of(line) == split for line in lines)


def _split_of(line: str) -> str | None:
    try:
        return json.loads(line).get("split")
    except ValueError:
        return None  # a line that a crash cut short
