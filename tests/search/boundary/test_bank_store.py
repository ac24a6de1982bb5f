"""Boundary banks: the same bits however they came to be, nothing half-written, never over the budget unseen."""

from dataclasses import replace

import numpy as np
import pytest

from search.boundary.bank_key import BankKey
from search.boundary.plan import plan_banks
from search.boundary.store import BankStore, bank_bytes
from search.boundary.values import FLOAT16_LIMIT, RecomputedValues, bank_dtype
from search.errors import UserError

BATCH, VIEWS, SIZE = 8, 44, 32
KEY = BankKey(weights="w", prepared="p", views="v", depth=0, batch_size=BATCH)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).uniform(-1, 1, (VIEWS, SIZE, SIZE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def trunks(engine):
    from search.boundary.trunk import frozen_trunk

    built = {}

    def trunk_of(depths):
        if tuple(depths) not in built:
            built[tuple(depths)] = frozen_trunk(engine.architecture, engine.weights, image_size=SIZE, depths=depths)
        return built[tuple(depths)]

    return trunk_of


def batches(pixels, *, stop_after=None):
    def pixels_from(first):
        for number, start in enumerate(range(first, len(pixels), BATCH)):
            if number == stop_after:
                raise KeyboardInterrupt
            yield pixels[start : start + BATCH]

    return pixels_from


def ensure(store, engine, trunks, source, depths):
    return store.ensure(
        {depth: replace(KEY, depth=depth) for depth in depths},
        trunk_of=trunks,
        pixels_from=source,
        views=VIEWS,
        shapes={depth: engine.architecture.boundary_shape(depth, (SIZE, SIZE)) for depth in depths},
    )


def test_a_bank_does_not_depend_on_which_others_were_filled_with_it(engine, trunks, pixels, tmp_path):
    together = ensure(BankStore(tmp_path / "a", max_bytes=10**9), engine, trunks, batches(pixels), (0, 1, 2))
    alone = ensure(BankStore(tmp_path / "b", max_bytes=10**9), engine, trunks, batches(pixels), (1,))
    assert np.array_equal(together[1], alone[1])
    assert [together[depth].dtype for depth in (0, 1, 2)] == [np.float32, np.float16, np.float16]


def test_what_is_there_is_not_computed_again(engine, trunks, pixels, tmp_path):
    store = BankStore(tmp_path, max_bytes=10**9)
    first = ensure(store, engine, trunks, batches(pixels), (0, 1))

    def untouched(first_view):
        raise AssertionError("the trunk was asked again")

    again = ensure(store, engine, trunks, untouched, (0, 1))
    assert all(np.array_equal(first[depth], again[depth]) for depth in (0, 1))


def test_an_interrupted_fill_goes_on_where_it_was_to_the_same_bits(engine, trunks, pixels, tmp_path, monkeypatch):
    monkeypatch.setattr("search.boundary.store._VIEWS_BETWEEN_SAVES", BATCH)
    whole = ensure(BankStore(tmp_path / "whole", max_bytes=10**9), engine, trunks, batches(pixels), (0, 1))
    store = BankStore(tmp_path / "cut", max_bytes=10**9)
    with pytest.raises(KeyboardInterrupt):
        ensure(store, engine, trunks, batches(pixels, stop_after=3), (0, 1))
    assert store.load(KEY) is None
    asked = []

    def remaining(first_view):
        asked.append(first_view)
        return batches(pixels)(first_view)

    resumed = ensure(store, engine, trunks, remaining, (0, 1))
    assert asked == [3 * BATCH]
    assert all(np.array_equal(resumed[depth], whole[depth]) for depth in (0, 1))


def test_recomputed_values_are_the_stored_ones(engine, trunks, pixels, tmp_path):
    stored = ensure(BankStore(tmp_path, max_bytes=10**9), engine, trunks, batches(pixels), (1,))[1]
    recomputed = RecomputedValues(
        trunks([1]),
        lambda views: pixels[views],
        shape=stored.shape,
        dtype=bank_dtype(1),
        batch_size=BATCH,
    )
    rows = np.array([[3, 40, 7], [3, 0, 43]])
    assert np.array_equal(recomputed[rows], stored[rows])


@pytest.mark.parametrize("sign", [1, -1])
def test_values_too_large_for_float16_are_kept_in_float32(tmp_path, sign):
    store = BankStore(tmp_path, max_bytes=10**9)
    values = sign * np.arange(VIEWS, dtype=np.float32)[:, None] * FLOAT16_LIMIT / 20
    found = store.ensure(
        {1: replace(KEY, depth=1)},
        trunk_of=lambda depths: lambda batch: [batch],
        pixels_from=batches(values),
        views=VIEWS,
        shapes={1: (1,)},
    )[1]
    assert found.dtype == np.float32
    assert np.array_equal(found, values)
    rounded = RecomputedValues(
        lambda batch: [batch],
        lambda views: values[views],
        shape=(VIEWS, 1),
        dtype=bank_dtype(1),
        batch_size=BATCH,
    )
    with pytest.raises(UserError, match=r"cache\.max_gb"):
        rounded[np.array([43])]


def test_the_longest_unused_bank_makes_room_and_a_needed_one_never(tmp_path):
    import os

    def fill(store, name):
        return store.ensure(
            {0: replace(KEY, views=name)},
            trunk_of=lambda depths: lambda batch: [batch],
            pixels_from=batches(np.full((VIEWS, 10), 1.0, np.float32)),
            views=VIEWS,
            shapes={0: (10,)},
        )

    size = bank_bytes(0, (10,), VIEWS)
    store = BankStore(tmp_path, max_bytes=int(2.5 * size))
    for age, name in enumerate(("old", "older")):
        fill(store, name)
        manifest = tmp_path / replace(KEY, views=name).fingerprint / "bank.json"
        os.utime(manifest, (1_000_000 - age, 1_000_000 - age))
    fill(store, "new")
    assert store.load(replace(KEY, views="older")) is None
    assert store.load(replace(KEY, views="old")) is not None
    assert fill(BankStore(tmp_path, max_bytes=1), "new")


LABELS = np.repeat([0, 1, 2], [155, 47, 39])
SHAPES = {0: (2048,), 1: (7, 7, 2048), 3: (14, 14, 1024)}


def planned(max_bytes, **changes):
    return plan_banks(LABELS, 3, SHAPES, base_views=4, most_views=16, max_bytes=max_bytes, **changes)


def test_with_room_the_rarer_classes_have_more_views():
    plan = planned(10**11)
    assert plan.views_per_class == (4, 13, 16)
    assert plan.views == 155 * 4 + 47 * 13 + 39 * 16
    assert plan.stored == (0, 1, 3)
    assert plan.total_bytes == plan.views * (2048 * 4 + 7 * 7 * 2048 * 2 + 14 * 14 * 1024 * 2)


def test_over_the_budget_views_go_first_and_then_the_largest_depths():
    full = planned(10**11).total_bytes
    fewer = planned(full // 2)
    assert fewer.views_per_class < (4, 13, 16)
    assert fewer.total_bytes <= full // 2
    assert not fewer.recomputed
    tight = planned(full // 20)
    assert tight.recomputed == (3,) or tight.recomputed == (1, 3)
    assert tight.views_per_class == (4, 13, 16)
    assert tight.total_bytes <= full // 20
    assert planned(0).recomputed == (0, 1, 3)


def test_a_smaller_budget_on_resume_keeps_the_views():
    full = planned(10**11)
    resumed = planned(full.total_bytes // 2, fixed_views=full.views_per_class)
    assert resumed.views_per_class == full.views_per_class
    assert resumed.recomputed
