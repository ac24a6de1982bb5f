import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.plan.hyperband import plan_hyperband


def totals(plan):
    return plan.trials, plan.configurations, plan.epochs, plan.full_budget_trials


def test_forty_trials_of_thirty_epochs_make_the_plan_of_the_design():
    plan = plan_hyperband(40, max_epochs=30, factor=3)
    assert totals(plan) == (38, 28, 420, 10)
    assert [[(rung.trials, rung.epochs) for rung in bracket.rungs] for bracket in plan.brackets] == [
        [(15, 4), (5, 10), (2, 30)],
        [(8, 10), (3, 30)],
        [(5, 30)],
    ]


@pytest.mark.parametrize(
    ("max_epochs", "factor", "runs", "configurations", "epochs"),
    # What KerasTuner 1.4.8 runs for these settings, counted from its trials.
    [(27, 3, 70, 49, 375), (30, 3, 90, 62, 576), (50, 3, 90, 62, 922), (81, 3, 211, 143, 1767)],
)
def test_with_room_for_all_brackets_the_plan_is_kerastuners(max_epochs, factor, runs, configurations, epochs):
    plan = plan_hyperband(runs, max_epochs=max_epochs, factor=factor)
    assert totals(plan)[:3] == (runs, configurations, epochs)


@given(
    max_trials=st.integers(1, 400),
    max_epochs=st.integers(1, 120),
    factor=st.integers(2, 5),
)
def test_a_plan_keeps_its_bound_and_reaches_the_full_budget(max_trials, max_epochs, factor):
    plan = plan_hyperband(max_trials, max_epochs=max_epochs, factor=factor)
    assert 1 <= plan.trials <= max_trials
    assert plan.full_budget_trials >= 1
    for bracket in plan.brackets:
        assert bracket.rungs[0].initial_epoch == 0
        assert bracket.rungs[-1].epochs == max_epochs
        for before, after in zip(bracket.rungs, bracket.rungs[1:], strict=False):
            assert after.trials <= before.trials
            assert after.initial_epoch == before.epochs < after.epochs


def test_room_for_two_whole_hyperbands_is_used_for_two():
    once, twice = plan_hyperband(90), plan_hyperband(185)
    assert twice.brackets == once.brackets * 2
    assert (twice.trials, twice.configurations) == (2 * once.trials, 2 * once.configurations)


@pytest.mark.parametrize("arguments", [{"max_trials": 0}, {"max_trials": 1, "max_epochs": 0}])
def test_impossible_settings_are_refused(arguments):
    with pytest.raises(ValueError, match="Received"):
        plan_hyperband(**arguments)


def test_each_bracket_has_spares_of_its_own_and_all_are_dealt_out():
    plan = plan_hyperband(40)
    dealt = [plan.configurations_of(bracket) for bracket in range(len(plan.brackets))]
    assert sorted(number for numbers in dealt for number in numbers) == list(range(plan.configurations + plan.spares))
    for bracket, numbers in zip(plan.brackets, dealt, strict=True):
        assert len(numbers) > bracket.rungs[0].trials


def test_a_plan_of_few_configurations_fills_its_first_brackets():
    plan = plan_hyperband(40)
    few = plan.limited_to(17)
    assert (few.configurations, few.spares) == (17, 0)
    assert few.brackets[0] == plan.brackets[0]
    assert [rung.trials for rung in few.brackets[1].rungs] == [2, 2]
    assert plan.limited_to(plan.configurations + plan.spares) == plan
