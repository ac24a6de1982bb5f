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
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from reports.files import read_regular
from reports.trials import OBJECTIVE_CURVE, TrialRecord
from search.errors import RunError
from search.files.atomic import append_line, write_atomic
from search.run_folder.directory import RunDirectory
from search.run_folder.manifest import Moment

_SCHEMA = TypeAdapter(TrialRecord)
_FIELDS = {field.name for field in fields(TrialRecord)}
_MOST = 2**31
"""No count, value or time of a trial in seconds is as large."""
_HUGE = 1e30  # nor a loss that counts as finite


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
        content = read_regular(path)
    except OSError as error:
        raise RunError(
            expected="a run with trials.jsonl", found=f"{path}: {error.strerror}", remedy="Check the run's name."
        ) from None
    records: dict[int, TrialRecord] = {}
    attempt, failures = 0, 0
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        record = _record(path, number, line)
        if record.attempt > attempt or (b'"attempt": ' not in line and record.trial in records):
            for _ in range(failures):
                records.popitem()
            failures = 0
        if record.trial in records:
            raise _damaged(path, number, f"trial {record.trial} again, which does not say that it is tried again")
        if record.parent is not None and record.parent not in records:
            raise _damaged(path, number, f"trial {record.trial} before trial {record.parent}, which it goes on from")
        if record.parent is not None and not _goes_on(record, records[record.parent]):
            raise _damaged(path, number, f"trial {record.trial}, which does not go on from where {record.parent} ended")
        records[record.trial], attempt = record, record.attempt
        failures = failures + 1 if _ended_in_failure(record) else 0
    return tuple(records.values())


def _goes_on(record: TrialRecord, parent: TrialRecord) -> bool:
    before = (parent.configuration, parent.bracket, parent.epochs, parent.hyperparameters)
    return before == (record.configuration, record.bracket, record.initial_epoch, record.hyperparameters)


def last_failures(records: Sequence[TrialRecord]) -> int:
    """How many trials in a row, up to the last one, ended in an exception or without a defined objective."""
    return sum(1 for _ in takewhile(_ended_in_failure, reversed(records)))


def _ended_in_failure(record: TrialRecord) -> bool:
    return record.status == "failed" and record.diverged_epoch is None


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
    # The checksum is no proof of who wrote the line: what is in it is checked as well.
    try:
        written = {"trial": parsed["record"].get("run"), **parsed["record"]}
        values = {name: value for name, value in written.items() if name in _FIELDS}
        values.setdefault("scored_epoch", values.get("best_epoch"))  # results version 1 scored the best epoch
        values["curves"] = {
            name: tuple(tuple(math.nan if value is None else float(value) for value in fold) for fold in folds)
            for name, folds in values.get("curves", {}).items()
        }
        record = _SCHEMA.validate_python(values)
        if record.started:
            TypeAdapter(Moment).validate_python(record.started)
        if not _is_sensible(record):
            raise ValueError
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise _damaged(path, number, "not a record of a trial") from None
    return record


def _is_sensible(record: TrialRecord) -> bool:
    """What the types don't say, and all who count, add up, draw and print records rely on."""
    counts = (record.trial, record.configuration, record.bracket, record.rung, record.attempt, record.initial_epoch)
    values, folds = record.hyperparameters.values(), [len(folds) for folds in record.curves.values()]
    scores = (record.objective or 0.0, record.backbone_learning_rate or 0.0)
    numbers = [value for value in (*values, *scores) if not isinstance(value, str)]
    epochs = {len(fold) for folds in record.curves.values() for fold in folds}
    has_score = record.objective is not None and record.best_epoch is not None and OBJECTIVE_CURVE in record.curves
    return (
        all(0 <= count < _MOST for count in counts)
        and record.initial_epoch < record.epochs < _MOST
        and all(1 <= (epoch or 1) <= record.epochs for epoch in (record.best_epoch, record.scored_epoch))
        and has_score is (record.status == "completed")
        and epochs <= {record.epochs}
        and len(set(folds)) <= 1
        # NaN: a metric that a fold does not define.
        and not any(abs(value) > _HUGE for folds in record.curves.values() for fold in folds for value in fold)
        and all(abs(number) < _HUGE for number in numbers)
        and all(0 <= time < _MOST for time in (record.seconds, record.build_seconds))
        and abs(record.overhead_seconds) < _MOST
        and all(text.isprintable() for text in (*record.hyperparameters, *record.curves, *map(str, values)))
    )


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
