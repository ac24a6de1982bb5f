"""Caches that were damaged are made anew, and what nobody wrote is not believed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from search.errors import RunError
from search.run_folder.trial_log import read_records
from tests.support.damage import flipped


def test_a_damaged_prepared_set_is_made_anew(phantom, tmp_path):
    from mammo_data.preparation.prepared import PreparationSettings, prepare
    from mammo_data.sources.open import open_source

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
    from search.boundary.bank_key import BankKey
    from search.boundary.store import BankStore

    monkeypatch.setattr("search.boundary.store._VIEWS_BETWEEN_SAVES", 4)
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


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_bank_with_any_byte_changed_is_not_read(tmp_path, dtype):
    from search.boundary.bank_key import BankKey
    from search.boundary.store import BankStore

    key = BankKey(weights="w", prepared="p", views="v", depth=0 if dtype == np.float32 else 1, batch_size=4)
    store = BankStore(tmp_path, max_bytes=10**9)
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    store.ensure(
        {key.depth: key},
        trunk_of=lambda depths: lambda batch: [batch],
        pixels_from=lambda first: [values],
        views=4,
        shapes={key.depth: (6,)},
    )
    file = tmp_path / key.fingerprint / "values.npy"
    content = file.read_bytes()
    assert store.load(key).dtype == dtype
    for place in range(len(content) - 24 * np.dtype(dtype).itemsize, len(content)):
        file.write_bytes(flipped(content, place, place % 8))
        assert store.load(key) is None, place
    written = values.astype(dtype)
    for other in (written.reshape(6, 4), written.view(np.uint32 if dtype == np.float32 else np.uint16)):
        np.save(file, other)  # the same bytes under another header
        assert store.load(key) is None, (other.dtype, other.shape)
    file.write_bytes(content)
    manifest = file.with_name("bank.json")
    text = manifest.read_text()
    for field, value in (("prepared", "q"), ("code", 2)):
        manifest.write_text(json.dumps({**json.loads(text), field: value}))
        assert store.load(key) is None, field
    manifest.write_text(text)
    assert np.array_equal(store.load(key), values)


def test_a_prepared_set_with_any_pixel_changed_is_not_read(phantom, tmp_path):
    from mammo_data.errors import DataError
    from mammo_data.preparation.prepared import PreparationSettings, PreparedSet, prepare
    from mammo_data.sources.open import open_source

    made = prepare(open_source(phantom), PreparationSettings(image_size=32), tmp_path)
    file, size = made.directory / "images.npy", made.images.size
    content = file.read_bytes()
    for place in np.random.default_rng(0).integers(len(content) - size, len(content), 20):
        file.write_bytes(flipped(content, int(place), 0))
        with pytest.raises(DataError, match="damaged pixels"):
            PreparedSet.load(made.directory)


def test_a_record_that_was_never_made_by_this_plan_is_refused(tmp_path, engine):
    from search.config.reading import load_config
    from search.plan.protocol import plan_search
    from search.run_folder.trial_log import append_record
    from search.trials.worker import TrainerPool
    from search.tuner.search import run_search
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
    with pytest.raises(RunError, match=r"another one in trials\.jsonl as trial 0"):
        search(tmp_path / "two")
