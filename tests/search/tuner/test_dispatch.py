"""Which work a free worker is given: the longest way first, graphs counted, and first of all what was lost."""

from types import SimpleNamespace

from search.plan.forecast import graph_seconds
from search.tuner.executors.dispatch import Dispatch

SHALLOW, DEEP = (0, 16, ""), (3, 16, "")


def dispatch_of(*works):
    dispatch = Dispatch()
    for shape, urgency in works:
        dispatch.submit(SimpleNamespace(shape=shape), lambda epoch: None, urgency)
    return dispatch


def given(dispatch, *workers):
    return [dispatch.give(worker).number for worker in workers]


def test_the_longest_way_goes_first_and_of_equal_ones_the_first():
    assert given(dispatch_of((DEEP, 10.0), (DEEP, 30.0), (DEEP, 30.0)), "a", "a", "a") == [1, 2, 0]


def test_a_worker_stays_with_a_shape_until_another_is_more_urgent_by_a_graph():
    little, much = 0.9 * graph_seconds(3), 2.1 * graph_seconds(3)
    assert given(dispatch_of((SHALLOW, 1.0), (DEEP, 0.9), (SHALLOW, 0.5), (SHALLOW, 0.4)), "a", "a", "a") == [0, 2, 3]
    assert given(dispatch_of((SHALLOW, 9.0), (SHALLOW, 0.0), (DEEP, little)), "a", "a") == [0, 1]
    assert given(dispatch_of((SHALLOW, 9.0), (SHALLOW, 0.0), (DEEP, much)), "a", "a") == [0, 2]


def test_a_shape_that_nobody_has_built_comes_before_one_that_another_worker_will_come_for():
    works = (SHALLOW, 1.0), (SHALLOW, 1.0), ((0, 64, ""), 1.0)
    assert given(dispatch_of(*works), "a", "b") == [0, 2]


def test_what_was_lost_is_given_next_and_who_follows_a_lost_worker_has_built_nothing():
    dispatch = dispatch_of((SHALLOW, 1.0), (SHALLOW, 1.0), ((0, 64, ""), 1.0), (DEEP, 99.0))
    lost = dispatch.give("a")
    assert lost.number == 3
    lost.losses += 1
    dispatch.lost("a")
    dispatch.waiting.append(lost)
    assert given(dispatch, "b", "a") == [3, 0]
