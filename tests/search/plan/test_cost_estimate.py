"""The time that a search is said to take."""

import pytest

from reports.trials import TrialRecord
from search.plan.clock import SearchClock
from search.plan.cost import CostModel, remaining_rungs
from search.plan.execution import Assignment, TrialState, next_assignment
from search.plan.hyperband import plan_hyperband
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
