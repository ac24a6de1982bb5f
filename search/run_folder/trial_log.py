"""trials.jsonl: one line a finished trial, only ever appended.

Schema of a line: ``{"crc32": "8 hex digits of the record's JSON", "record": {the fields of TrialRecord}}``. NaN
(a metric that a fold does not define) is written as null. The lines stand in the order in which the plan is carried
out, whatever the order in which trials end, parents before their promotions. A trial is there once, but for those whose
failures in a row have stopped the search: what is recorded later has a higher ``attempt``, which takes the row back.

Lines of earlier versions have ``run`` for ``trial`` and no ``attempt``; there a number that comes again says the same.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports import TrialRecord
from search.errors import RunError
from search.files.atomic import append_line, write_atomic
from search.run_folder.directory import RunDirectory

if TYPE_CHECKING:
    from pydantic import TypeAdapter


def append_record(path: Path, record: TrialRecord) -> None:
    """Append one record and flush it to the disk.

    Raises:
        OSError: If it can't be written; the file is then as it was.
    """
    text = json.dumps(_without_nan(asdict(record)), sort_keys=True, allow_nan=False)
    append_line(path, f'{{"crc32": "{zlib.crc32(text.encode()):08x}", "record": {text}}}')


def read_records(path: Path) -> tuple[TrialRecord, ...]:
    """Read all records; a last line without its end, which is still being written or never was, does not count.

    Raises:
        RunError: If the file is missing, or a line is not what was written.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(
            expected="a run with trials.jsonl", found=f"{path}: {error.strerror}", remedy="Check the run's name."
        ) from None
    records: list[TrialRecord] = []
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        record = _record(path, number, line)
        says_so = b'"attempt": ' not in line and record.trial in {before.trial for before in records}
        if says_so or (records and record.attempt > records[-1].attempt):
            del records[len(records) - last_failures(records) :]
        numbers = {before.trial for before in records}
        if record.trial in numbers:
            raise _damaged(path, number, f"trial {record.trial} again, which does not say that it is tried again")
        if record.parent is not None and record.parent not in numbers:
            raise _damaged(path, number, f"trial {record.trial} before trial {record.parent}, which it goes on from")
        records.append(record)
    return tuple(records)


def last_failures(records: Sequence[TrialRecord]) -> int:
    """How many trials in a row, up to the last one, ended in an exception or without a defined objective."""
    good = (record.status != "failed" or record.diverged_epoch is not None for record in reversed(records))
    return next((count for count, is_good in enumerate(good) if is_good), len(records))


def drop_torn_line(path: Path) -> bool:
    """Cut off a last line that a crash left half-written; its trial is trained again.

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


def _record(path: Path, number: int, line: bytes) -> TrialRecord:
    try:
        parsed = json.loads(line)
        text = json.dumps(parsed["record"], sort_keys=True)
        intact = f"{zlib.crc32(text.encode()):08x}" == parsed["crc32"]
    except (ValueError, KeyError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise _damaged(path, number, "damaged")
    known = {field.name for field in fields(TrialRecord)}
    # The checksum is no proof of who wrote the line: what is in it is checked as well.
    try:
        written = {"trial": parsed["record"].get("run"), **parsed["record"]}
        values = {name: value for name, value in written.items() if name in known}
        values["curves"] = {
            name: tuple(tuple(math.nan if value is None else float(value) for value in fold) for fold in folds)
            for name, folds in values.get("curves", {}).items()
        }
        record = _schema().validate_python(values)
        if not all(name.isprintable() for name in (*record.hyperparameters, *record.curves, record.status)):
            raise ValueError("names that steer a terminal")
    except (ValueError, TypeError, AttributeError):
        raise _damaged(path, number, "not a record of a trial") from None
    counts = (record.trial, record.configuration, record.bracket, record.rung, record.initial_epoch)
    if not all(0 <= count < 2**31 for count in counts):
        raise _damaged(path, number, "a negative number or one that counts nothing")
    return record


@cache
def _schema() -> TypeAdapter[TrialRecord]:
    from pydantic import TypeAdapter

    return TypeAdapter(TrialRecord)


def _damaged(path: Path, number: int, found: str) -> RunError:
    return RunError(
        expected="a record with its checksum",
        found=f"{path} line {number}, {found}",
        remedy="Restore the file, or delete that line and all after it: these trials are then trained again.",
    )


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def recorded(directory: RunDirectory) -> tuple[TrialRecord, ...]:
    """The trials of a search that have ended; none where none has.

    Raises:
        RunError: If trials.jsonl is damaged.
    """
    if directory.is_complete:
        directory.check_output(directory.trials_file)
    return read_records(directory.trials_file) if directory.trials_file.is_file() else ()
