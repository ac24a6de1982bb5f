"""The time that a search is said to take."""

import numpy as np
import pytest

from reports.trials import TrialRecord
from search.plan.clock import SearchClock
from search.plan.cost import CostModel, remaining_rungs
from search.plan.execution import Assignment, TrialState, next_assignment
from search.plan.hyperband import plan_hyperband
from search.plan.schedule import makespan
from search.plan.space import Configuration
from search.screen.layout import counts_line
from search.text import duration

SECONDS = {0: 0.05, 1: 0.5, 2: 1.0, 3: 1.6}
SETUP = 4.0


def configuration(number):
    return Configuration(64 << number % 2, dropout=0.1, l2=1e-4, learning_rate=0.01, unfreeze_depth=number % 4)


def search(plan, folds, board):
    """Carry a plan out on a clock of its own; yields the time after each event, and at the end the whole time."""
    now, history, built = 0.0, [], set()
    while isinstance(assignment := next_assignment(plan, history), Assignment):
        run, chosen = len(history), configuration(assignment.configuration)
        board.begin(run, assignment, chosen, now)
        began = now
        shape = (chosen.unfreeze_depth, chosen.head_width)
        now += 0.0 if shape in built else SETUP
        built.add(shape)
        for fold in range(folds):
            for epoch in range(assignment.initial_epoch + 1, assignment.epochs + 1):
                now += SECONDS[chosen.unfreeze_depth]
                board.epoch_ended(run, fold, epoch, now)
                yield now
        objective = 0.5 + 0.01 * assignment.configuration
        history.append(
            TrialState(run, assignment.configuration, assignment.bracket, assignment.rung, "completed", objective)
        )
        board.end(
            TrialRecord(
                trial=run,
                configuration=assignment.configuration,
                bracket=assignment.bracket,
                rung=assignment.rung,
                parent=assignment.parent,
                initial_epoch=assignment.initial_epoch,
                epochs=assignment.epochs,
                hyperparameters=vars(chosen),
                status="completed",
                objective=objective,
                best_epoch=assignment.epochs,
                seconds=now - began,
            )
        )


def test_before_the_first_run_all_epochs_of_the_plan_are_to_come():
    plan = plan_hyperband(40)
    depth_of = {number: number % 4 for number in range(plan.configurations)}
    rungs = [
        rung for bracket in remaining_rungs(plan, [], {}, depth_of=depth_of, depths=(0, 1, 2, 3)) for rung in bracket
    ]
    assert sum(rung.epochs * sum(rung.trials.values()) for rung in rungs) == pytest.approx(plan.epochs)
    assert {depth for rung in rungs for depth in rung.trials} == {0, 1, 2, 3}


@pytest.mark.parametrize("rough", [{}, {0: 0.01, 1: 0.1, 2: 0.2, 3: 0.3}, {0: 0.5, 1: 5.0, 2: 10.0, 3: 16.0}])
def test_the_estimate_is_learned_from_the_runs_of_the_search(rough):
    plan, folds = plan_hyperband(40), 5
    drawn = {number: configuration(number) for number in range(plan.configurations)}
    board = SearchClock(plan, folds, [], CostModel(rough), depths=(0, 1, 2, 3), configurations=drawn)
    estimates, whole = [], 0.0
    for event, now in enumerate(search(plan, folds, board)):
        whole = now
        if event % 20 == 0:
            estimates.append((now, board.seconds_left(now)))
    assert counts_line(board).plain == f"{plan.trials} done"
    assert board.epochs_done == plan.epochs
    for now, left in estimates:
        # Which runs are promoted, and so at which depth, is not known before a rung has ended.
        if now > 0.15 * whole:
            assert left == pytest.approx(whole - now, rel=0.25, abs=10), f"after {now:.0f} of {whole:.0f} s"


def test_a_resumed_search_knows_the_costs_of_its_finished_runs():
    plan, folds = plan_hyperband(16, max_epochs=9), 3
    first = SearchClock(plan, folds, [], CostModel(), depths=(0, 1, 2, 3))
    for _ in search(plan, folds, first):
        pass
    resumed = SearchClock(plan, folds, first.records[:-2], CostModel(), depths=(0, 1, 2, 3))
    truth = sum(record.seconds for record in first.records[-2:])
    assert resumed.seconds_left(0.0) == pytest.approx(truth, rel=0.6)


def test_nothing_is_claimed_before_anything_is_known():
    board = SearchClock(plan_hyperband(8), 5, [], CostModel())
    assert board.seconds_left(0.0) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min"), (80, "1 min 20 s"), (754, "12 min"), (7300, "2 h 1 min"), (200_000, "2 d 7 h")],
)
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text


def test_a_rung_waits_for_the_one_before_it_and_brackets_do_not():
    bracket = [[3.0, 1.0, 1.0], [2.0]]
    assert [makespan([bracket], workers) for workers in (1, 2, 9)] == [7, 5, 5]
    assert makespan([bracket, [[], [4.0]]], 9) == 5
    assert makespan([bracket, [[5.0]]], 2) == 7, "while a rung waits, another bracket's fold is trained"
    assert makespan([], 4) == makespan([[[], []]], 4) == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("workers", [2, 4, 16])
def test_several_workers_are_as_fast_as_folds_and_barriers_let_them_be(workers, seed):
    rng = np.random.default_rng(seed)
    brackets = [[list(rng.exponential(size=5 * size)) for size in (9, 3, 1)[part:]] for part in (0, 1, 2, 0)]
    whole = sum(sum(folds) for bracket in brackets for folds in bracket)
    longest = max(sum(map(max, bracket)) for bracket in brackets)
    assert makespan(brackets, 1) == pytest.approx(whole)
    assert max(whole / workers, longest) <= makespan(brackets, workers) <= whole / workers + longest


@pytest.mark.parametrize(("workers", "faster"), [(2, 1.9), (4, 3.7), (8, 7.0), (16, 12.0)])
def test_a_search_is_told_the_time_of_all_its_workers(workers, faster):
    """At least what the search's own scheduling reaches, with trials of 0.04 to 5.7 s an epoch and without graphs."""
    plan, costs = plan_hyperband(40), {0: 0.04, 1: 1.7, 2: 3.7, 3: 5.7}
    drawn = {number: configuration(number) for number in range(plan.configurations)}
    one, several = (
        SearchClock(plan, 5, [], CostModel(costs), depths=(0, 1, 2, 3), configurations=drawn, workers=count)
        for count in (1, workers)
    )
    for board in (one, several):
        board.builds = dict.fromkeys(costs, 0.0)
    assert faster <= one.seconds_left(0.0) / several.seconds_left(0.0) <= workers


def test_folds_in_flight_are_trained_beside_each_other():
    plan = plan_hyperband(1, max_epochs=4)
    board = SearchClock(plan, 5, [], CostModel({0: 1.0}), configurations={0: configuration(0)}, workers=5)
    board.builds = {0: 0.0}
    board.begin(0, next_assignment(plan, []), configuration(0), 0.0)
    assert board.seconds_left(0.0) == pytest.approx(4)
    for fold in range(5):
        for epoch in (1, 2):
            board.epoch_ended(0, fold, epoch, 2.0)
    assert board.seconds_left(2.0) == pytest.approx(2, abs=0.5)
