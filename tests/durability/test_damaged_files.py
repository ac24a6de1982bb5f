"""Every file of a run and of the caches, truncated, emptied, or with one bit flipped: noticed, never believed."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mammo_data.errors import DataError
from mammo_data.splits import Split
from search.errors import RunError, UserError
from search.trial_log import read_records
from tests.durability.damage import cut, empty, flipped

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
    from search.bank_store import BankKey, BankStore
    from search.bit_architecture import SMALL
    from search.bit_store import read_stored, write_stored
    from search.checkpoints import CheckpointStore
    from search.cross_validation import FoldResult
    from search.export import load_exported
    from search.folds_in_flight import FoldsInFlight
    from search.manifest import COPY, read_manifest
    from search.out_of_fold import read_out_of_fold
    from search.plan_execution import Assignment
    from search.run_directory import RunDirectory

    config, result = finished
    run = result.directory
    records = read_records(run.trials_file)
    assignment = Assignment(0, 0, 0, None, 0, 3)
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
        FoldsInFlight(folder).save(0, assignment, 0, result)
        return folder / "fold-0.npz"

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
        from mammo_data.prepared import PreparedSet

        found = PreparedSet.load(file.parent)
        return found.images, found.table, found.settings, found.fingerprint

    def weights(folder):
        write_stored(folder / "small.safetensors", engine.weights, SMALL)
        return folder / "small.safetensors"

    def read_weights(file):
        found = read_stored(file, SMALL)
        return dict(found.arrays), found.genuine

    def read_oof(file):
        first = next(record for record in records if record.run == 0)
        found = read_out_of_fold(file.parent, first, records, ("normal", "benign", "malignant")).predictions
        return found.image_ids, found.patient_ids, found.labels, found.probabilities

    def read_model(file):
        return [np.asarray(weight) for weight in load_exported(file).weights]

    def output(file):
        return lambda folder: Path(shutil.copytree(run.path, folder / "run", ignore=SMALL_PART)) / file

    def read_output(file):
        directory = RunDirectory(next(path for path in file.parents if path.name == "run"))
        return directory.check_output(file).read_bytes()

    return {
        "run.json": Kind(manifest_with_copy, read_manifest),
        "run.json without its copy": Kind(manifest_alone, read_manifest),
        "trials.jsonl": Kind(copied(run.trials_file), read_records),
        "split.csv": Kind(
            copied(run.split_file), lambda file: Split.read_csv(file).fingerprint == result_split(run) or NOTICED
        ),
        "oof": Kind(copied(run.path / "oof" / "0000.npz"), read_oof),
        "in_flight": Kind(in_flight, lambda file: FoldsInFlight(file.parent).load(0, assignment, 0) or NOTICED),
        "checkpoint": Kind(checkpoint, lambda file: CheckpointStore(file.parents[1]).load(0, 0) or NOTICED),
        "bank values": Kind(bank("values.npy"), lambda file: none_is_noticed(read_bank(file))),
        "bank.json": Kind(bank("bank.json"), lambda file: none_is_noticed(read_bank(file))),
        "prepared images": Kind(prepared("images.npy"), read_prepared),
        "prepared manifest": Kind(prepared("manifest.json"), read_prepared),
        "weights": Kind(weights, read_weights),
        "model": Kind(copied(run.model_file), read_model),
        "predictions.csv": Kind(output("best/predictions.csv"), read_output),
        "metrics.json": Kind(output("best/metrics.json"), read_output),
        "report.html": Kind(output("best/report.html"), read_output),
    }


SMALL_PART = shutil.ignore_patterns("checkpoints", "oof", "tensorboard", "search", "*.keras", "*.png", ".lock")


def result_split(run):
    return run.read_manifest()["fingerprints"]["split"]


def none_is_noticed(values):
    return NOTICED if values is None else values


def read(kind, file):
    """What the program takes from a file; NOTICED for a clear line."""
    try:
        return kind.read(file)
    except (UserError, DataError) as error:
        return f"{NOTICED} in several lines" if "\n" in str(error) else NOTICED


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
    "split.csv",
    "oof",
    "in_flight",
    "checkpoint",
    "bank values",
    "bank.json",
    "prepared images",
    "prepared manifest",
    "weights",
    "predictions.csv",
    "metrics.json",
    "report.html",
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
    if name == "run.json":
        assert all(same(answer, right) for how, answer in found.items()), "there is a copy of it"


@pytest.mark.slow
def test_damage_of_the_model_is_noticed_or_changes_nothing(kinds, tmp_path):
    right, found = check(kinds["model"], tmp_path, 40)
    for how, answer in found.items():
        assert same(answer, NOTICED) or same(answer, right), how


def test_a_damaged_prepared_set_is_made_anew(phantom, tmp_path):
    from mammo_data.layouts import open_source
    from mammo_data.prepared import PreparationSettings, prepare

    source, settings = open_source(phantom), PreparationSettings(image_size=32)
    first = prepare(source, settings, tmp_path)
    images = np.array(first.images)
    file = first.directory / "images.npy"
    content = file.read_bytes()
    file.write_bytes(flipped(content, len(content) // 2, 0))
    again = prepare(source, settings, tmp_path)
    assert again.fingerprint == first.fingerprint
    assert np.array_equal(again.images, images)


@pytest.mark.parametrize("file", ["progress.json", "values.npy"])
def test_a_damaged_unfinished_bank_is_filled_from_the_beginning(tmp_path, monkeypatch, file):
    from search.bank_store import BankKey, BankStore

    monkeypatch.setattr("search.bank_store._VIEWS_BETWEEN_SAVES", 4)
    key = BankKey(weights="w", prepared="p", views="v", depth=1, batch_size=4)
    batches = [np.full((4, 6), number, np.float32) for number in range(1, 5)]

    def pixels(first, stop=None):
        yield from batches[first // 4 : stop]
        if stop:
            raise KeyboardInterrupt

    def fill(source):
        return BankStore(tmp_path, max_bytes=10**9).ensure(
            {1: key}, trunk_of=lambda depths: lambda batch: [batch], pixels_from=source, views=16, shapes={1: (6,)}
        )[1]

    with pytest.raises(KeyboardInterrupt):
        fill(lambda first: pixels(first, 2))
    damaged = tmp_path / key.fingerprint / file
    content = damaged.read_bytes()
    # In progress.json 4 or 8 views become 12, or 5: what was never written would count as filled.
    place = content.index(b": ") + 2 if file == "progress.json" else 140
    damaged.write_bytes(flipped(content, place, 0))
    asked = []
    values = fill(lambda first: (asked.append(first), pixels(first))[1])
    assert asked == [0]
    assert np.array_equal(values, np.concatenate(batches).astype(np.float16))


def test_a_record_that_was_never_made_by_this_plan_is_refused(tmp_path, engine):
    from search.config_file import load_config
    from search.plan_text import plan_search
    from search.search_stage import TrainerPool, run_search
    from search.trial_log import append_record
    from tests.durability.test_search_crashes import Silent

    config = load_config(
        None, {"space.head_width": [16], "space.unfreeze_depth": [0], "search.max_trials": 4, "search.max_epochs": 3}
    )

    def search(folder):
        log = folder / "trials.jsonl"
        return run_search(
            plan_search(config.search),
            config,
            engine.data,
            engine.settings,
            trainers=TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="sgd"),
            run_directory=folder,
            listener=Silent(),
            finished=read_records(log) if log.exists() else (),
        )

    first = search(tmp_path / "one").records[0]
    (tmp_path / "two").mkdir()
    forged = replace(first, hyperparameters={**first.hyperparameters, "learning_rate": 0.5}, objective=0.999)
    append_record(tmp_path / "two" / "trials.jsonl", forged)
    with pytest.raises(RunError, match=r"another one in trials\.jsonl as run 0"):
        search(tmp_path / "two")
