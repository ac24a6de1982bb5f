from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo_data.training.sampling import epoch_rows

MIAS_LABELS = np.repeat([0, 1, 2], [207, 63, 52])


def test_balanced_draws_each_class_equally_often() -> None:
    rows = epoch_rows(MIAS_LABELS, draws=256, rng=np.random.default_rng(0))
    assert sorted(np.bincount(MIAS_LABELS[rows])) == [85, 85, 86]
    assert not np.array_equal(MIAS_LABELS[rows], np.sort(MIAS_LABELS[rows]))


def test_none_keeps_the_natural_prevalence() -> None:
    rows = epoch_rows(MIAS_LABELS, draws=322, rng=np.random.default_rng(0), minority="none")
    assert sorted(rows) == list(range(322))


def test_the_rng_alone_decides() -> None:
    drawn = [epoch_rows(MIAS_LABELS, draws=64, rng=np.random.default_rng([7, 1, epoch])) for epoch in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


@settings(max_examples=100, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=50),
    draws=st.integers(0, 300),
    minority=st.sampled_from(["balanced", "class_weights", "logit_adjustment", "none"]),
    seed=st.integers(0, 2**32),
)
def test_rows_of_a_class_are_drawn_equally_often(labels: list[int], draws: int, minority: str, seed: int) -> None:
    array = np.array(labels)
    rows = epoch_rows(array, draws=draws, rng=np.random.default_rng(seed), minority=minority)
    assert rows.shape == (draws,)
    counts = np.bincount(rows, minlength=array.size)
    for wanted in np.unique(array):
        assert np.ptp(counts[array == wanted]) <= 1
    if minority == "balanced":
        assert np.ptp([counts[array == wanted].sum() for wanted in np.unique(array)]) <= 1


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="draw"):
        epoch_rows(np.array([], np.int64), draws=1, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="smote"):
        epoch_rows(MIAS_LABELS, draws=1, rng=np.random.default_rng(0), minority="smote")
