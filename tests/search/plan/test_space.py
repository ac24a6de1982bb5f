from search.config.schema import Interval, SpaceSection
from search.plan.space import draw_configurations


def test_a_shorter_draw_is_the_start_of_a_longer_one():
    assert draw_configurations(SpaceSection(), 50, seed=3)[:7] == draw_configurations(SpaceSection(), 7, seed=3)


def test_draws_stay_in_the_ranges_and_cover_them():
    space = SpaceSection()
    drawn = draw_configurations(space, 400, seed=0)
    assert len(set(drawn)) == 400
    assert {c.head_width for c in drawn} == set(space.head_width)
    assert {c.unfreeze_depth for c in drawn} == set(space.unfreeze_depth)
    for name in ("dropout", "l2", "learning_rate"):
        interval = getattr(space, name)
        values = [getattr(c, name) for c in drawn]
        assert interval.min <= min(values)
        assert max(values) <= interval.max
    # On a log range half of the draws lie below the geometric mean.
    assert 0.4 < sum(c.learning_rate < 10**-2.5 for c in drawn) / 400 < 0.6


def test_a_discrete_space_gives_each_point_once_and_ends():
    fixed = {name: Interval(min=0.1, max=0.1) for name in ("dropout", "l2", "learning_rate")}
    space = SpaceSection(head_width=(8, 16), unfreeze_depth=(0, 1), **fixed)
    drawn = draw_configurations(space, 50, seed=0)
    assert len(drawn) == len(set(drawn)) == 4


def test_another_seed_draws_other_configurations():
    first, second = (set(draw_configurations(SpaceSection(), 30, seed=seed)) for seed in (0, 1))
    assert not first & second
