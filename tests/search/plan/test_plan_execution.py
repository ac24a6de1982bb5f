"""The plan carried out against made-up scores and failures, without any training."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from search.plan.execution import Assignment, TrialState, next_assignment, promotable_trials
from search.plan.hyperband import plan_hyperband

PLAN = plan_hyperband(40, max_epochs=30, factor=3)
DRAWN = PLAN.configurations + PLAN.spares


def carry_out(plan, *, objective, fails=lambda trial: False, drawn=None, workers=1, seed=0):
    """Run a plan with several workers that finish in random order; returns history, by number, and parents."""
    plan = plan if drawn is None else plan.limited_to(drawn)
    order = random.Random(seed)
    history: dict[int, TrialState] = {}
    parents: dict[int, int | None] = {}
    while True:
        states = list(history.values())
        running = [state for state in states if state.status == "running"]
        coming = next_assignment(plan, states) if len(running) < workers else "wait"
        if isinstance(coming, Assignment):
            assert coming.trial not in history
            parents[coming.trial] = coming.parent
            if coming.parent is not None and not any(state.status == "failed" for state in states):
                assert coming.parent in promotable_trials(plan, states)
            history[coming.trial] = TrialState(
                coming.trial, coming.configuration, coming.bracket, coming.rung, "running"
            )
        elif running:
            ended = order.choice(running)
            if fails(ended.trial):
                history[ended.trial] = replace(ended, status="failed")
            else:
                history[ended.trial] = replace(ended, status="completed", objective=objective(ended))
        else:
            assert coming == "done"
            return history, parents


def by_configuration(state):
    return (state.configuration * 7919 % 101) / 101


def test_the_plan_is_carried_out_run_for_run():
    history, parents = carry_out(PLAN, objective=by_configuration)
    assert list(history) == list(range(38)), "the order of carrying out is that of the numbers"
    assert len({state.configuration for state in history.values()}) == 28
    for bracket_position, bracket in enumerate(PLAN.brackets):
        for rung_position, rung in enumerate(bracket.rungs):
            here = [s for s in history.values() if (s.bracket, s.rung) == (bracket_position, rung_position)]
            assert len(here) == rung.trials
            for state in here:
                parent = parents[state.trial]
                assert (parent is None) == (rung_position == 0)
                if parent is not None:
                    assert history[parent].configuration == state.configuration


def test_the_best_are_promoted_and_ties_go_to_the_lower_number():
    history, parents = carry_out(PLAN, objective=lambda state: 0.5)
    assert [parents[s.trial] for s in history.values() if (s.bracket, s.rung) == (0, 1)] == [0, 1, 2, 3, 4]


@settings(max_examples=60, deadline=None)
@given(workers=st.integers(1, 6), seed=st.integers(0, 999), failing=st.sets(st.integers(0, 45), max_size=6))
def test_neither_workers_nor_their_order_change_the_table(workers, seed, failing):
    one = carry_out(PLAN, objective=by_configuration, fails=failing.__contains__)
    many = carry_out(PLAN, objective=by_configuration, fails=failing.__contains__, workers=workers, seed=seed)
    assert many == one


@settings(max_examples=30, deadline=None)
@given(failing=st.sets(st.integers(0, 45), max_size=6), bracket=st.integers(0, 2))
def test_what_fails_in_one_bracket_changes_no_other_one(failing, bracket):
    untouched, _ = carry_out(PLAN, objective=by_configuration)
    numbers = {state.trial for state in untouched.values() if state.bracket == bracket}
    history, _ = carry_out(PLAN, objective=by_configuration, fails=lambda trial: trial in failing & numbers)
    others = {number: state for number, state in history.items() if state.bracket != bracket}
    assert others == {number: state for number, state in untouched.items() if state.bracket != bracket}


def test_a_replacement_is_numbered_behind_all_planned_trials():
    history, parents = carry_out(PLAN, objective=by_configuration, fails=lambda trial: trial in (3, 16))
    spare, next_best = sorted(set(history) - set(range(PLAN.trials)))
    assert (history[spare].rung, history[spare].configuration) == (0, PLAN.configurations)
    assert (history[next_best].rung, parents[next_best] in range(15)) == (1, True)


def test_failures_do_not_starve_promotions():
    history, _ = carry_out(PLAN, objective=by_configuration, fails=lambda trial: trial % 3 == 1 and trial < 24)
    for rung_position, rung in enumerate(PLAN.brackets[0].rungs):
        completed = [s for s in history.values() if (s.bracket, s.rung, s.status) == (0, rung_position, "completed")]
        assert len(completed) == rung.trials


def test_when_everything_fails_the_plan_ends():
    history, _ = carry_out(PLAN, objective=by_configuration, fails=lambda trial: True)
    assert len(history) == DRAWN
    assert {state.rung for state in history.values()} == {0}


def test_an_exhausted_space_ends_the_plan_with_what_there_is():
    history, _ = carry_out(PLAN, objective=by_configuration, drawn=6)
    assert len({state.configuration for state in history.values()}) == 6
    assert max(state.rung for state in history.values()) == 2


def test_an_undefined_objective_ranks_last():
    _, parents = carry_out(
        plan_hyperband(10, max_epochs=9), objective=lambda s: float("nan") if s.configuration == 0 else 0.4
    )
    assert 0 not in parents.values()


def test_checkpoints_are_kept_exactly_while_they_can_be_promoted():
    history = list(carry_out(PLAN, objective=by_configuration)[0].values())
    first_rung = history[:15]
    best = sorted(first_rung, key=lambda state: (-state.objective, state.trial))
    assert promotable_trials(PLAN, first_rung) == {state.trial for state in best[:5]}
    best = sorted(history[15:20], key=lambda state: (-state.objective, state.trial))
    assert promotable_trials(PLAN, history[:20]) >= {state.trial for state in best[:2]}
    assert max(len(promotable_trials(PLAN, history[:n])) for n in range(len(history))) <= 5 + 2
    assert promotable_trials(PLAN, history) == frozenset()
