"""The plan carried out against made-up scores and failures, without any training."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from search.plan.execution import Assignment, RunState, next_assignment, promotable_runs
from search.plan.hyperband import plan_hyperband

PLAN = plan_hyperband(40, max_epochs=30, factor=3)
DRAWN = PLAN.configurations + PLAN.spares


def carry_out(plan, *, objective, fails=lambda run: False, drawn=None, workers=1, seed=0):
    """Run a plan with several workers that finish in random order; returns history and parents."""
    drawn = plan.configurations + plan.spares if drawn is None else drawn
    order = random.Random(seed)
    history: list[RunState] = []
    parents: dict[int, int | None] = {}
    while True:
        running = [state for state in history if state.status == "running"]
        coming = next_assignment(plan, history, drawn=drawn) if len(running) < workers else "wait"
        if isinstance(coming, Assignment):
            parents[len(history)] = coming.parent
            if coming.parent is not None and not any(state.status == "failed" for state in history):
                assert coming.parent in promotable_runs(plan, history, drawn=drawn)
            history.append(
                RunState(len(history), coming.configuration, coming.bracket, coming.rung, "running")
            )
        elif running:
            ended = order.choice(running)
            if fails(ended.run):
                history[ended.run] = replace(ended, status="failed")
            else:
                history[ended.run] = replace(ended, status="completed", objective=objective(ended))
        else:
            assert coming == "done"
            return history, parents


def by_configuration(state):
    return (state.configuration * 7919 % 101) / 101


def test_the_plan_is_carried_out_run_for_run():
    history, parents = carry_out(PLAN, objective=by_configuration)
    assert len(history) == 38
    assert len({state.configuration for state in history}) == 28
    for bracket_position, bracket in enumerate(PLAN.brackets):
        for rung_position, rung in enumerate(bracket.rungs):
            here = [s for s in history if (s.bracket, s.rung) == (bracket_position, rung_position)]
            assert len(here) == rung.runs
            for state in here:
                parent = parents[state.run]
                assert (parent is None) == (rung_position == 0)
                if parent is not None:
                    assert history[parent].configuration == state.configuration


def test_the_best_are_promoted_and_ties_go_to_the_lower_number():
    history, parents = carry_out(PLAN, objective=lambda state: 0.5)
    assert [parents[s.run] for s in history if (s.bracket, s.rung) == (0, 1)] == [0, 1, 2, 3, 4]


@settings(max_examples=60, deadline=None)
@given(workers=st.integers(1, 6), seed=st.integers(0, 999), failing=st.sets(st.integers(0, 45), max_size=6))
def test_neither_workers_nor_their_order_change_the_table(workers, seed, failing):
    one = carry_out(PLAN, objective=by_configuration, fails=failing.__contains__)
    many = carry_out(PLAN, objective=by_configuration, fails=failing.__contains__, workers=workers, seed=seed)
    assert many == one


def test_failures_do_not_starve_promotions():
    history, _ = carry_out(PLAN, objective=by_configuration, fails=lambda run: run % 3 == 1 and run < 24)
    for rung_position, rung in enumerate(PLAN.brackets[0].rungs):
        completed = [s for s in history if (s.bracket, s.rung, s.status) == (0, rung_position, "completed")]
        assert len(completed) == rung.runs


def test_when_everything_fails_the_plan_ends():
    history, _ = carry_out(PLAN, objective=by_configuration, fails=lambda run: True)
    assert len(history) == DRAWN
    assert {state.rung for state in history} == {0}


def test_an_exhausted_space_ends_the_plan_with_what_there_is():
    history, _ = carry_out(PLAN, objective=by_configuration, drawn=6)
    assert len({state.configuration for state in history}) == 6
    assert max(state.rung for state in history) == 2


def test_an_undefined_objective_ranks_last():
    _, parents = carry_out(
        plan_hyperband(10, max_epochs=9), objective=lambda s: float("nan") if s.configuration == 0 else 0.4
    )
    assert 0 not in parents.values()


def test_checkpoints_are_kept_exactly_while_they_can_be_promoted():
    history, _ = carry_out(PLAN, objective=by_configuration)
    first_rung = history[:15]
    best = sorted(first_rung, key=lambda state: (-state.objective, state.run))
    assert promotable_runs(PLAN, first_rung, drawn=DRAWN) == {state.run for state in best[:5]}
    best = sorted(history[15:20], key=lambda state: (-state.objective, state.run))
    assert promotable_runs(PLAN, history[:20], drawn=DRAWN) >= {state.run for state in best[:2]}
    assert max(len(promotable_runs(PLAN, history[:n], drawn=DRAWN)) for n in range(len(history))) <= 5 + 2
    assert promotable_runs(PLAN, history, drawn=DRAWN) == frozenset()
