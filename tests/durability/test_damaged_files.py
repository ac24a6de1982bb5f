"""Each kind of file that is read again, truncated, emptied, or with one bit flipped: noticed, never believed."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mammo_data.errors import DataError
from mammo_data.splits import Split
from search.errors import UserError
from search.run_folder.trial_log import read_records
from tests.support.damage import cut, empty, flipped

FLIPS = 60
"""Bits that are flipped in each file, one after the other, spread over it at random."""

NOTICED = "noticed"
"""What a reader says that gives nothing rather than something wrong."""


@dataclass(frozen=True)
class Kind:
    """A kind of file and how the program reads it.

    Attributes:
        make: Gives the file, in a folder of its own.
        read: What the program takes from it, or NOTICED; errors with one line count as that.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], object]


@pytest.fixture(scope="module")
def kinds(engine, finished):
    from search.bit.architecture import SMALL
    from search.bit.weights import read_stored, write_stored
    from search.boundary.bank_key import BankKey
    from search.boundary.store import BankStore
    from search.export.metadata import metadata_file, read_metadata
    from search.export.model import load_exported
    from search.plan.execution import Assignment
    from search.run_folder.directory import RunDirectory
    from search.run_folder.ledger import LEDGER, readings, record_final_stage
    from search.run_folder.manifest import COPY, read_manifest
    from search.run_folder.session import SESSION, begin_session, read_session
    from search.run_folder.trial_log import recorded
    from search.trials.checkpoints import CheckpointStore, FoldsInFlight
    from search.trials.cross_validation import FoldResult
    from search.trials.out_of_fold import read_out_of_fold

    config, result = finished
    run = result.directory
    records = read_records(run.trials_file)
    assignment = Assignment(0, 0, 0, 0, None, 0, 3)
    key = BankKey(weights="w", prepared="p", views="v", depth=1, batch_size=4)

    def copied(file):
        return lambda folder: Path(shutil.copy(file, folder))

    def manifest_alone(folder):
        return Path(shutil.copy(run.manifest_file, folder))

    def manifest_with_copy(folder):
        shutil.copy(run.manifest_file.with_name(COPY), folder)
        return manifest_alone(folder)

    def in_flight(folder):
        result = FoldResult({"loss": (0.1, 0.2, 0.3)}, np.arange(18, dtype=np.float32).reshape(3, 2, 3))
        FoldsInFlight(folder / "in_flight").save(assignment, 0, result)
        return folder / "in_flight" / "0000" / "fold-0.npz"

    def checkpoint(folder):
        store = CheckpointStore(folder)
        store.save(0, 0, {"0:kernel": np.arange(12, dtype=np.float32).reshape(3, 4), "1:step": np.array(7)})
        store.close()
        return folder / "0000" / "fold-0.safetensors"

    def bank(name):
        def make(folder):
            BankStore(folder, max_bytes=10**9).ensure(
                {1: key},
                trunk_of=lambda depths: lambda batch: [batch],
                pixels_from=lambda first: [np.full((4, 6), first, np.float32)] * 2,
                views=8,
                shapes={1: (6,)},
            )
            return folder / key.fingerprint / name

        return make

    def read_bank(file):
        return BankStore(file.parents[1], max_bytes=10**9).load(key)

    def prepared(name):
        def make(folder):
            (made,) = (config.output.cache / "prepared").iterdir()
            return Path(shutil.copytree(made, folder / made.name)) / name

        return make

    def read_prepared(file):
        from mammo_data.preparation.prepared import PreparedSet

        found = PreparedSet.load(file.parent)
        return found.images, found.table, found.settings, found.fingerprint

    def weights(folder):
        write_stored(folder / "small.safetensors", engine.weights, SMALL)
        return folder / "small.safetensors"

    def read_weights(file):
        found = read_stored(file, SMALL)
        return dict(found.arrays), found.genuine

    def read_oof(file):
        first = next(record for record in records if record.trial == 0)
        found = read_out_of_fold(file.parent, first, records, ("normal", "benign", "malignant")).predictions
        return found.image_ids, found.patient_ids, found.labels, found.probabilities

    def read_model(file):
        return [np.asarray(weight) for weight in load_exported(file).weights]

    def ledger(folder):
        for name in ("first", "second"):
            record_final_stage(folder, "split", name, began="2026-01-02T03:04:05+00:00", models=["a", "b"])
        return folder / LEDGER

    def session(folder):
        begin_session(folder)
        return folder / SESSION

    def metadata(folder):
        for file in (run.model_file, metadata_file(run.model_file)):
            shutil.copy(file, folder)
        return folder / metadata_file(run.model_file).name

    def output(file):
        return lambda folder: Path(shutil.copytree(run.path, folder / "run", ignore=SMALL_PART)) / file

    def home(file):
        return RunDirectory(next(path for path in file.parents if path.name == "run"))

    def read_output(file):
        return home(file).check_output(file).read_bytes()

    return {
        "run.json": Kind(manifest_with_copy, read_manifest),
        "run.json without its copy": Kind(manifest_alone, read_manifest),
        "trials.jsonl": Kind(copied(run.trials_file), read_records),
        "split of a run": Kind(
            copied(run.split_file), lambda file: Split.read_csv(file).fingerprint == result_split(run) or NOTICED
        ),
        "oof": Kind(copied(run.path / "oof" / "0000.npz"), read_oof),
        "in_flight": Kind(in_flight, lambda file: FoldsInFlight(file.parents[1]).load(assignment, 0) or NOTICED),
        "checkpoint": Kind(checkpoint, lambda file: CheckpointStore(file.parents[1]).load(0, 0) or NOTICED),
        "bank values": Kind(bank("values.npy"), lambda file: none_is_noticed(read_bank(file))),
        "bank.json": Kind(bank("bank.json"), lambda file: none_is_noticed(read_bank(file))),
        "prepared images": Kind(prepared("images.npy"), read_prepared),
        "prepared manifest": Kind(prepared("manifest.json"), read_prepared),
        "weights": Kind(weights, read_weights),
        "model": Kind(copied(run.model_file), read_model),
        "ledger": Kind(ledger, lambda file: readings(file.parent, "split")),
        "session": Kind(session, lambda file: none_is_noticed(read_session(file.parent))),
        "model.json": Kind(metadata, lambda file: read_metadata(file.with_suffix("")).content),
        "trials.jsonl of a complete run": Kind(output("trials.jsonl"), lambda file: recorded(home(file))),
        **{name: Kind(output(name), read_output) for name in OUTPUTS},
    }


OUTPUTS = (
    "config.toml",
    "split.csv",
    *(f"best/{name}" for name in ("predictions.csv", "metrics.json", "audit.json", "summary.json", "report.html")),
)
SMALL_PART = shutil.ignore_patterns("checkpoints", "oof", "tensorboard", "search", "*.keras", "*.png", ".lock")


def result_split(run):
    return run.read_manifest().fingerprints["split"]


def none_is_noticed(values):
    return NOTICED if values is None else values


def read(kind, file):
    """What the program takes from a file; NOTICED for a clear line, or several of a table: one a mistake."""
    try:
        return kind.read(file)
    except (UserError, DataError) as error:
        first, *others = str(error).splitlines()
        each_whole = all(line.startswith(("Expected ", "and ")) for line in (first, *others))
        return NOTICED if each_whole or not others else f"{NOTICED} in broken lines"


def same(first, second):
    if isinstance(first, np.ndarray):
        return isinstance(second, np.ndarray) and first.dtype == second.dtype and np.array_equal(first, second)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[name], second[name]) for name in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(same(*pair) for pair in zip(first, second, strict=True))
    if hasattr(first, "logits"):
        return same((first.curves, first.logits), (getattr(second, "curves", 0), getattr(second, "logits", 0)))
    return type(first) is type(second) and first == second


NAMES = (
    "run.json",
    "run.json without its copy",
    "trials.jsonl",
    "split of a run",
    "oof",
    "in_flight",
    "checkpoint",
    "bank values",
    "bank.json",
    "prepared images",
    "prepared manifest",
    "weights",
    "ledger",
    "session",
    "model.json",
    "trials.jsonl of a complete run",
    *OUTPUTS,
)


def check(kind, folder, flips):
    file = kind.make(folder)
    content = file.read_bytes()
    right = read(kind, file)
    assert not same(right, NOTICED)
    rng = np.random.default_rng(0)
    places = [(int(rng.integers(len(content))), int(rng.integers(8))) for _ in range(flips)]
    damaged = {"cut": cut(content), "emptied": empty(content), "one byte short": content[:-1]}
    damaged |= {f"byte {place} bit {bit}": flipped(content, place, bit) for place, bit in places}
    found = {}
    for how, bytes_ in damaged.items():
        file.write_bytes(bytes_)
        found[how] = read(kind, file)
    return right, found


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_noticed_or_changes_nothing(kinds, tmp_path, name):
    right, found = check(kinds[name], tmp_path, FLIPS)
    for how, answer in found.items():
        if name == "trials.jsonl" and how in ("cut", "emptied", "one byte short"):
            # What is missing at the end is trained again: the rest has to be the beginning.
            assert right[: len(answer)] == answer
        else:
            assert same(answer, NOTICED) or same(answer, right), how
    if name in ("run.json", "ledger"):
        assert all(same(answer, right) for how, answer in found.items()), "there is a copy of it"


@pytest.mark.slow
def test_damage_of_the_model_is_noticed_or_changes_nothing(kinds, tmp_path):
    right, found = check(kinds["model"], tmp_path, 40)
    for how, answer in found.items():
        assert same(answer, NOTICED) or same(answer, right), how
