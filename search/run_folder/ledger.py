"""The ledger of hold-out readings: each time test patients were evaluated, a line.

A test set that is looked at after every change is a validation set. The ledger lies beside all runs, so that runs
share it, and counts by who is held out, whatever the folds of the others; the report prints the count. The best of ten
splits is chosen, too: beside the count stands under how many other splits the same films were read.

Schema of a line:

    split     fingerprint of the test patients
    run       name of the run whose models read
    command   "run" for the final stage of a run, "evaluate" for a model that was evaluated later
    began     when that run began, ISO 8601
    models    SHA-256 of each model that read: of the exported file, then of the weights of other seeds and of the folds
    counted   whether it counts
    films     fingerprint of all films of the data set, whatever they are prepared to
    draw      fingerprint of the drawn split: ``split``, in an outer search that of all outer folds
    time      ISO 8601
    crc32     8 hex digits of the rest as JSON with sorted keys

A final stage is one reading, however often it was interrupted: a run that began at that moment, with those models.
`evaluate` of a model that has read these patients before tells nothing new; it is logged and not counted. Lines of
older versions have ``split``, ``run`` and ``time`` alone: they count, as readings of that run's own model. Without
``films`` nobody can say whether a line of another split is of the same films; such lines are counted by themselves.

Each line goes into ``.holdout_ledger.jsonl.copy`` first: what one of the two files has lost to damage is read from the
other.
"""

from __future__ import annotations

import datetime
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from search.files.atomic import append_line
from search.text import printable

LEDGER = "holdout_ledger.jsonl"
LEDGER_COPY = f".{LEDGER}.copy"
_CHECKSUM = "crc32"


@dataclass(frozen=True)
class Reading:
    """One evaluation of held-out patients; the attributes are the keys of its line.

    Attributes:
        run: Name of the run whose models read.
        time: When, ISO 8601.
        command: "run" or "evaluate"; "" in older lines.
        began: When that run began, ISO 8601.
        models: SHA-256 of each model that read, the exported file's first.
        counted: Whether it counts.
        films: Fingerprint of the data set's films; "" in older lines.
        draw: Fingerprint of the drawn split; "" in older lines.
    """

    run: str
    time: str
    command: str = ""
    began: str = ""
    models: tuple[str, ...] = ()
    counted: bool = True
    films: str = ""
    draw: str = ""


@dataclass(frozen=True)
class OtherSplits:
    """Readings of the same films under other splits.

    Attributes:
        splits: Under how many; the outer folds of a nested run are one.
        runs: Which runs read, the first one first; an outer search goes by its nested run.
        unknown: Readings under other splits that do not say of which films, as older versions wrote them.
    """

    splits: int
    runs: tuple[str, ...]
    unknown: int


def record_final_stage(
    runs: Path, split: str, run: str, *, began: str, models: Sequence[str], films: str = "", draw: str = ""
) -> tuple[Reading, ...]:
    """Append the reading of a run's final stage, unless it is there: an interrupted stage goes on with the same one.

    Args:
        runs: Folder of all runs.
        split: Fingerprint of its test patients.
        run: Name of the run that reads.
        began: When that run began, ISO 8601: begun anew under the same name, it reads once more.
        models: SHA-256 of each of its models, the exported file's first.
        films: Fingerprint of the data set's films.
        draw: Fingerprint of the drawn split.

    Returns:
        All readings of these patients that count, this one among them.
    """
    asked = Reading(run, _now(), "run", began, tuple(models), films=films, draw=draw)
    entry = next((each for each in logged(runs, split) if replace(each, time=asked.time) == asked), asked)
    _append(runs, split, entry, again=False)
    return readings(runs, split)


def record_evaluation(
    runs: Path, split: str, run: str, *, began: str, model: str, films: str = "", draw: str = ""
) -> Reading:
    """Append the reading of an exported model that is evaluated after its run was complete.

    Args:
        runs: Folder of all runs.
        split: Fingerprint of the test patients.
        run: Name of the model's run.
        began: When that run began, ISO 8601.
        model: SHA-256 of the exported file.
        films: Fingerprint of the data set's films.
        draw: Fingerprint of the drawn split.

    Returns:
        The reading; it counts where no line says that this model has read them before.
    """
    known = any(
        model in each.models or (not each.models and each.run == run and each.time >= began)
        for each in logged(runs, split)
    )
    entry = Reading(run, _now(), "evaluate", began, (model,), counted=not known, films=films, draw=draw)
    _append(runs, split, entry, again=True)
    return entry


def readings(runs: Path, split: str) -> tuple[Reading, ...]:
    """The readings of the test patients of a split that count, oldest first."""
    return tuple(each for each in logged(runs, split) if each.counted)


def logged(runs: Path, split: str) -> tuple[Reading, ...]:
    """When the test patients of a split have been read, and by which runs and models, oldest first."""
    return tuple(reading for of_split, reading in _all_logged(runs) if of_split == split)


def films_of(runs: Path, run: str, *, began: str) -> str:
    """Fingerprint of the films that a run has read held-out patients of; "" where no line says it.

    Args:
        runs: Folder of all runs.
        run: The run's name; the outer searches of a nested one go by its name.
        began: When it began, ISO 8601; an earlier one of that name does not count.
    """
    whole = run.partition("/")[0]
    lines = [reading for _, reading in _all_logged(runs) if reading.run.partition("/")[0] == whole]
    return next((each.films for each in lines if each.films and each.began >= began), "")


def other_splits(runs: Path, *, films: str, draw: str) -> OtherSplits:
    """The readings of the same films under other splits that count.

    Args:
        runs: Folder of all runs.
        films: Fingerprint of the data set's films.
        draw: Fingerprint of the drawn split.
    """
    counted = [(split, reading) for split, reading in _all_logged(runs) if reading.counted]
    own = {draw, *(split for split, reading in counted if reading.draw == draw)}
    others = [reading for split, reading in counted if split not in own]
    same = [reading for reading in others if films and reading.films == films]
    names = dict.fromkeys(reading.run.partition("/")[0] for reading in same)
    unknown = sum(not reading.films for reading in others)
    return OtherSplits(len({reading.draw for reading in same}), tuple(map(printable, names)), unknown)


def _all_logged(runs: Path) -> list[tuple[str, Reading]]:
    """All readings with the fingerprint of their test patients, oldest first."""
    first, second = (Counter(_entries(runs / name)) for name in (LEDGER, LEDGER_COPY))
    # A line that both have is one reading; the same line twice in one of them is two.
    return sorted((first | second).elements(), key=lambda entry: (entry[1].time, entry[1].run))


def _append(runs: Path, split: str, entry: Reading, *, again: bool) -> None:
    """Write an entry into both files, where it is not there yet unless it is written again."""
    content = {"split": split, **asdict(entry)}
    line = json.dumps({**content, _CHECKSUM: _checksum(content)})
    for name in (LEDGER_COPY, LEDGER):
        if again or (split, entry) not in _entries(runs / name):
            append_line(runs / name, line)


def _entries(path: Path) -> Iterator[tuple[str, Reading]]:
    """What each line says that is as it was written, with the fingerprint of the test patients."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            entry = json.loads(line)
            written = entry.pop(_CHECKSUM, None)
            found = str(entry["split"]), _reading(entry)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # damaged, or cut short by a crash
        if written is None or written == _checksum(entry):
            yield found


def _reading(entry: Mapping[str, Any]) -> Reading:
    texts = {name: str(entry.get(name, "")) for name in ("command", "began", "films", "draw")}
    models, counted = tuple(map(str, entry.get("models", ()))), bool(entry.get("counted", True))
    return Reading(str(entry["run"]), str(entry["time"]), models=models, counted=counted, **texts)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _checksum(entry: Mapping[str, object]) -> str:
    return f"{zlib.crc32(json.dumps(entry, sort_keys=True).encode()):08x}"
