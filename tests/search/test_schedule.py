import numpy as np
import pytest

from search.schedule import learning_rates


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_pieces_are_the_whole(schedule):
    whole = learning_rates(schedule, 0.1, first_step=0, steps=30, full_steps=30)
    pieces = [learning_rates(schedule, 0.1, first_step=s, steps=10, full_steps=30) for s in (0, 10, 20)]
    assert np.array_equal(np.concatenate(pieces), whole)
    assert whole[0] == np.float32(0.1)


def test_the_cosine_falls_to_zero_at_the_full_budget():
    rates = learning_rates("cosine", 1.0, first_step=0, steps=101, full_steps=100)
    assert np.all(np.diff(rates) < 0)
    assert rates[-1] == pytest.approx(0, abs=1e-7)


def test_an_unknown_schedule_is_named():
    with pytest.raises(ValueError, match="warmup"):
        learning_rates("warmup", 1.0, first_step=0, steps=1, full_steps=1)
