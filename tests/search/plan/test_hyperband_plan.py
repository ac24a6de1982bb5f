import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.plan.hyperband import plan_hyperband
from tests.benchmarks.bench_plan import TABLE, table
from tests.support.slow import slow

BOUNDS = range(1, 121)
SETTINGS = [(max_epochs, factor) for max_epochs in (9, 27, 30, 81) for factor in (4, 3, 2)]


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
    # What KerasTuner 1.4.8 has in its brackets of two, one and no promotions, counted from its oracle.
    [(7, 2, 21, 14, 74), (9, 3, 23, 17, 75), (30, 3, 38, 28, 420), (30, 4, 44, 34, 352), (81, 3, 38, 28, 1116)],
)
def test_with_room_for_a_whole_set_its_brackets_are_kerastuners(max_epochs, factor, runs, configurations, epochs):
    plan = plan_hyperband(runs, max_epochs=max_epochs, factor=factor)
    assert totals(plan)[:3] == (runs, configurations, epochs)


def set_sizes(max_epochs, factor):
    """(promotions, width) to the sizes of a set's rungs, bracket by bracket; none where a promotion has no choice."""
    sets = {}
    for promotions in (1, 2):
        for width in range(1, math.ceil(1 + math.log(max_epochs, factor)) + 1):
            brackets = [
                [math.ceil(width / (s + 1) * factor ** (s - rung)) for rung in range(s + 1)]
                for s in range(promotions, -1, -1)
            ]
            if factor**promotions <= max_epochs and all(a > b for rungs in brackets for a, b in pairwise(rungs)):
                sets[promotions, width] = brackets
    return sets


def sequences(sizes, room):
    """All sequences of sets that fit, none before a larger one: each multiset once."""
    yield ()
    for kind, brackets in sizes.items():
        if (trials := sum(map(sum, brackets))) <= room:
            no_larger = {other: sizes[other] for other in sizes if other <= kind}
            for rest in sequences(no_larger, room - trials):
                yield (kind, *rest)


@pytest.mark.parametrize("setting", [*SETTINGS[:-1], *slow(SETTINGS[-1])])
def test_no_sequence_of_sets_that_fits_is_larger(setting):
    """All of them, tried one by one; Python compares them as the plan does: by the first set that differs."""
    max_epochs, factor = setting
    sizes = set_sizes(max_epochs, factor)
    trials = {kind: sum(map(sum, brackets)) for kind, brackets in sizes.items()}
    largest = dict.fromkeys(range(BOUNDS[-1] + 1), ())
    for sequence in sequences(sizes, BOUNDS[-1]):
        spent = sum(trials[kind] for kind in sequence)
        largest[spent] = max(largest[spent], sequence)
    best = ()
    for bound in BOUNDS:
        best = max(best, largest[bound])
        plan = plan_hyperband(bound, max_epochs=max_epochs, factor=factor)
        found = [[rung.trials for rung in bracket.rungs] for bracket in plan.brackets]
        assert found == ([rungs for kind in best for rungs in sizes[kind]] or [[bound]]), bound


@pytest.mark.parametrize(("max_epochs", "factor"), SETTINGS)
def test_less_than_the_smallest_set_is_left(max_epochs, factor):
    smallest = min(sum(map(sum, brackets)) for brackets in set_sizes(max_epochs, factor).values())
    for bound in BOUNDS:
        plan = plan_hyperband(bound, max_epochs=max_epochs, factor=factor)
        assert bound - plan.trials < smallest
        assert (len(plan.brackets) > 1) == (bound >= smallest), "random search only where no set fits"


FALLS = {
    (9, 2): ([5, 11, 21, 37, 47, 63, 73, 89, 99, 115], [11, 37, 63, 89, 115], []),
    (9, 3): ([4, 15, 23, 38, 46, 61, 69, 84, 92, 107, 115], [], []),
    (9, 4): ([4], [], []),
    (27, 2): ([5, 11, 21, 40, 50, 69, 79, 98, 108], [11, 40, 69, 98], []),
    (27, 3): ([4, 15, 23, 30, 45, 53, 60, 75, 83, 90, 105, 113, 120], [], []),
    (27, 4): ([4, 13, 22, 32, 44, 57, 66, 76, 88, 101, 110, 120], [], []),
    (30, 2): ([5, 11, 21, 40, 50, 69, 79, 98, 108], [11, 40, 69, 98], []),
    (30, 3): ([4, 15, 23, 30, 38, 53, 61, 68, 76, 91, 99, 106, 114], [], []),
    (30, 4): ([4, 13, 22, 32, 44, 57, 66, 76, 88, 101, 110, 120], [], []),
    (81, 2): ([5, 11, 21, 51, 61, 91, 101], [11, 51, 91], [36, 76, 116]),
    (81, 3): ([4, 15, 23, 30, 38, 53, 61, 68, 76, 91, 99, 106, 114], [], []),
    (81, 4): ([4, 13, 22, 32, 44, 54, 67, 76, 86, 98, 108], [], []),
}
"""(max_epochs, factor) to the bounds at which one trial more buys less: of trials at the full budget and with them of
epochs, of configurations, and of epochs alone."""


@pytest.mark.parametrize("setting", SETTINGS)
def test_where_one_trial_more_buys_less_is_known(setting):
    max_epochs, factor = setting
    plans = [plan_hyperband(bound, max_epochs=max_epochs, factor=factor) for bound in BOUNDS]

    def falls(figure, by_at_most):
        lost = {after.max_trials: figure(before) - figure(after) for before, after in pairwise(plans)}
        assert max(lost.values()) <= by_at_most
        return [bound for bound, less in lost.items() if less > 0]

    finalists, configurations, epochs_alone = FALLS[setting]
    assert falls(lambda plan: plan.full_budget_trials, 3) == finalists
    assert falls(lambda plan: plan.configurations, 1) == configurations
    assert falls(lambda plan: plan.epochs, 3 * max_epochs) == sorted(finalists + epochs_alone)


def test_epochs_keep_up_with_the_bound():
    """An epoch budget in proportion to the trials, but for the few that are left."""
    for bound in range(38, 401):
        assert 10 < plan_hyperband(bound).epochs / bound < 13


@pytest.mark.parametrize(("max_epochs", "factor"), SETTINGS)
def test_no_bracket_is_more_than_one_ahead_of_another(max_epochs, factor):
    """Counted by promotions. Widths are at most 3 with 9 epochs and a factor of 3: two small sets are then needed."""
    ahead = []
    for bound in BOUNDS:
        plan = plan_hyperband(bound, max_epochs=max_epochs, factor=factor)
        counts = Counter(len(bracket.rungs) for bracket in plan.brackets)
        if max(counts.values()) - min(counts.values()) > 1:
            ahead.append(bound)
    assert ahead == ([37, 60, 83, 106] if (max_epochs, factor) == (9, 3) else [])


def test_the_table_of_plans_is_todays():
    assert TABLE.read_text(encoding="utf-8") == table()


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
            assert after.trials < before.trials
            assert after.initial_epoch == before.epochs < after.epochs


def test_room_for_two_whole_sets_is_used_for_two():
    once, twice = plan_hyperband(38), plan_hyperband(79)
    assert twice.brackets == once.brackets * 2
    assert totals(twice) == tuple(2 * number for number in totals(once))


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
