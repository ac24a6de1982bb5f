"""The ledger of hold-out readings: each time test patients were evaluated, a line.

A test set that is looked at after every change is a validation set. The ledger lies beside all runs, so that runs
share it, and counts by the split's fingerprint; the report prints the count. Schema of a line: ``{"split": fingerprint,
"run": name, "time": ISO 8601}``.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from search.atomic_file import append_line

LEDGER = "holdout_ledger.jsonl"


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
        split: Fingerprint of the split.
        run: Name of the run that reads.

    Returns:
        All readings of the test patients of this split, this one last.
    """
    path = runs / LEDGER
    entry = {"split": split, "run": run, "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    append_line(path, json.dumps(entry))
    return readings(runs, split)


def readings(runs: Path, split: str) -> tuple[Reading, ...]:
    """When the test patients of a split have been read, and by which runs, oldest first."""
    path = runs / LEDGER
    if not path.is_file():
        return ()
    entries = _entries(path.read_text(encoding="utf-8").splitlines())
    return tuple(
        Reading(str(entry.get("run", "")), str(entry.get("time", "")))
        for entry in entries
        if entry.get("split") == split
    )


def _entries(lines: list[str]) -> Iterator[dict[str, object]]:
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # a line that a crash cut short
        if isinstance(entry, dict):
            yield entry
