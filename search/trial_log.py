"""trials.jsonl: one line a finished run, only ever appended.

Schema of a line: ``{"crc32": "8 hex digits of the record's JSON", "record": {the fields of TrialRecord}}``. NaN
(a metric that a fold does not define) is written as null.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from reports.trial_record import TrialRecord
from search.atomic_file import write_atomic
from search.errors import RunError


def append_record(path: Path, record: TrialRecord) -> None:
    """Append one record and flush it to the disk."""
    text = json.dumps(_without_nan(asdict(record)), sort_keys=True, allow_nan=False)
    line = f'{{"crc32": "{zlib.crc32(text.encode()):08x}", "record": {text}}}\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def read_records(path: Path) -> tuple[TrialRecord, ...]:
    """Read all records.

    Raises:
        RunError: If the file is missing, or a line is not what was written.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise RunError(
            expected="a run with trials.jsonl", found=f"{path}: {error.strerror}", remedy="Check the run's name."
        ) from None
    return tuple(_record(path, number, line) for number, line in enumerate(lines, start=1))


def drop_torn_line(path: Path) -> bool:
    """Cut off a last line that a crash left half-written; its run is trained again.

    Returns:
        Whether there was one.
    """
    if not path.is_file():
        return False
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole == content:
        return False
    write_atomic(path, whole)
    return True


def _record(path: Path, number: int, line: str) -> TrialRecord:
    try:
        parsed = json.loads(line)
        text = json.dumps(parsed["record"], sort_keys=True)
        intact = f"{zlib.crc32(text.encode()):08x}" == parsed["crc32"]
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise RunError(
            expected="a record with its checksum",
            found=f"{path} line {number}, damaged",
            remedy="Restore the file, or search again with --fresh.",
        )
    known = {field.name for field in fields(TrialRecord)}
    values = {name: value for name, value in parsed["record"].items() if name in known}
    values["curves"] = {
        name: tuple(tuple(math.nan if value is None else float(value) for value in fold) for fold in folds)
        for name, folds in values.get("curves", {}).items()
    }
    return TrialRecord(**values)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
