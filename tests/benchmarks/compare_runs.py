"""Comparison of two folders of runs, bit for bit: what another version of the program has made of the same commands.

    python -m tests.benchmarks.compare_runs OLD/runs NEW/runs

Trials, out-of-fold logits, predictions, metrics and weights have to be equal. Times, hosts and versions are left out;
keys that were renamed on purpose are shown as differences, for a reader to judge. Exit code 1 where anything differs.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from search.run_folder.trial_log import read_records

CLOCKS = {"started", "seconds", "overhead_seconds", "build_seconds"}
NOT_COMPARED = {"seconds", "nested_seconds", "time", "created", "finished", "host", "pid", "estimates"}


def differences(old: Path, new: Path) -> Iterator[str]:
    """What differs, a line each."""
    for file in sorted(old.rglob("*")):
        compare = next((each for pattern, each in COMPARED if file.match(pattern)), None)
        if compare is None or not file.is_file():
            continue
        name, other = file.relative_to(old), new / file.relative_to(old)
        if not other.is_file():
            yield f"{name}: missing"
            continue
        yield from (f"{name}: {found}" for found in compare(file, other))


def _trials(old: Path, new: Path) -> Iterator[str]:
    before, after = read_records(old), read_records(new)
    if len(before) != len(after):
        yield f"{len(before)} and {len(after)} trials"
    for one, other in zip(before, after, strict=False):
        values = [vars(one), vars(other)]
        changed = [key for key in values[0] if key not in CLOCKS and repr(values[0][key]) != repr(values[1][key])]
        if changed:
            yield f"trial {one.trial}: {', '.join(changed)}"


def _arrays(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    yield from (f"{name} in one alone" for name in sorted(old.keys() ^ new.keys()))
    for name in sorted(old.keys() & new.keys()):
        if old[name].dtype != new[name].dtype or old[name].tobytes() != new[name].tobytes():
            yield name


def _logits(old: Path, new: Path) -> Iterator[str]:
    with np.load(old) as before, np.load(new) as after:
        return _arrays(dict(before), dict(after))


def _weights(old: Path, new: Path) -> Iterator[str]:
    return _arrays(_datasets(old), _datasets(new))


def _datasets(model: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with zipfile.ZipFile(model) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def _bytes(old: Path, new: Path) -> Iterator[str]:
    if old.read_bytes() != new.read_bytes():
        yield "other bytes"


def _metrics(old: Path, new: Path) -> Iterator[str]:
    before, after = (dict(_leaves(json.loads(file.read_text()))) for file in (old, new))
    for key in sorted(before.keys() | after.keys()):
        if before.get(key, "absent") != after.get(key, "absent"):
            yield f"{key}: {before.get(key, 'absent')} and {after.get(key, 'absent')}"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            if key not in NOT_COMPARED:
                yield from _leaves(each, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _leaves(each, f"{path}[{place}]")
    else:
        yield path, value


COMPARED = (
    ("trials.jsonl", _trials),
    ("oof/*.npz", _logits),
    ("predictions*.csv", _bytes),
    ("metrics.json", _metrics),
    ("*.keras", _weights),
)

if __name__ == "__main__":
    lines = list(differences(Path(sys.argv[1]), Path(sys.argv[2])))
    print(*lines, f"{len(lines)} differences", sep="\n")
    raise SystemExit(bool(lines))
