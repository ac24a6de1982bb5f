"""BiT's step schedule at every position, however training is cut into pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.trials.schedule import hyperrule_factors


def test_five_hundred_steps_are_the_papers():
    factors = hyperrule_factors(first_step=0, steps=500, full_steps=500)
    assert factors[0] == pytest.approx(0.01)
    np.testing.assert_allclose(
        factors[[99, 199, 200, 299, 300, 399, 400, 499]], [1, 1, 0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3]
    )


@given(full=st.integers(1, 700), cut=st.integers(0, 700), epoch=st.none() | st.integers(1, 50))
def test_a_promoted_run_is_on_the_same_curve(full, cut, epoch):
    cut = min(cut, full)
    whole = hyperrule_factors(first_step=0, steps=full, full_steps=full, steps_per_epoch=epoch)
    parts = [
        hyperrule_factors(first_step=start, steps=stop - start, full_steps=full, steps_per_epoch=epoch)
        for start, stop in ((0, cut), (cut, full))
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert np.all(whole > 0)
    assert np.all(whole <= 1)


def test_the_warm_up_takes_an_epoch_at_most():
    factors = hyperrule_factors(first_step=0, steps=300, full_steps=300, steps_per_epoch=10)
    assert factors[9] == 1
    assert factors[8] < 1


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="positive"):
        hyperrule_factors(first_step=0, steps=1, full_steps=0)
