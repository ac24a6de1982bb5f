import numpy as np
import pytest

from search.trials.schedule import learning_rates


@pytest.mark.parametrize("schedule", ["constant", "cosine", "bit"])
def test_pieces_are_the_whole(schedule):
    whole = learning_rates(schedule, 0.1, first_step=0, steps=30, full_steps=30, steps_per_epoch=5)
    pieces = [
        learning_rates(schedule, 0.1, first_step=s, steps=10, full_steps=30, steps_per_epoch=5) for s in (0, 10, 20)
    ]
    assert np.array_equal(np.concatenate(pieces), whole)
    assert whole.max() == np.float32(0.1)
    assert whole.dtype == np.float32


def test_bits_schedule_warms_up_for_one_epoch_and_then_steps_down():
    rates = learning_rates("bit", 1.0, first_step=0, steps=300, full_steps=300, steps_per_epoch=10)
    assert np.all(np.diff(rates[:10]) > 0), "warm-up"
    changes = 1 + np.flatnonzero(np.diff(rates[9:])) + 9
    assert changes.tolist() == [120, 180, 240]
    np.testing.assert_allclose(rates[[9, 119, 120, 180, 240, 299]], [1, 1, 0.1, 0.01, 1e-3, 1e-3], rtol=1e-6)


def test_the_cosine_warms_up_for_one_epoch_and_falls_to_zero_at_the_full_budget():
    rates = learning_rates("cosine", 1.0, first_step=0, steps=101, full_steps=100, steps_per_epoch=10)
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10, rtol=1e-6)
    assert np.all(np.diff(rates[9:]) < 0)
    assert rates[9 + 91 // 3] == pytest.approx(0.5 * (1 + np.cos(np.pi * 30 / 91)), abs=1e-6)
    assert rates[-1] == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("schedule", ["cosine", "bit"])
def test_a_small_budget_is_not_all_warm_up(schedule):
    rates = learning_rates(schedule, 1.0, first_step=0, steps=10, full_steps=10, steps_per_epoch=5)
    assert rates.argmax() == 1, "a fifth"


def test_an_unknown_schedule_is_named():
    with pytest.raises(ValueError, match="warmup"):
        learning_rates("warmup", 1.0, first_step=0, steps=1, full_steps=1, steps_per_epoch=1)
