"""The space, and what is drawn from it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from search.config.schema import Interval, SpaceSection
from search.plan.space import Configuration, declare_space, draw_configurations
from search.seeding import generator


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
    middle = (space.learning_rate.min * space.learning_rate.max) ** 0.5
    # On a log range half of the draws lie below the geometric mean.
    assert 0.4 < sum(c.learning_rate < middle for c in drawn) / 400 < 0.6


def test_a_discrete_space_gives_each_point_once_and_ends():
    fixed = {name: Interval(min=0.1, max=0.1) for name in ("dropout", "l2", "learning_rate")}
    space = SpaceSection(head_width=(8, 16), unfreeze_depth=(0, 1), **fixed)
    drawn = draw_configurations(space, 50, seed=0)
    assert len(drawn) == len(set(drawn)) == 4


def test_another_seed_draws_other_configurations():
    first, second = (set(draw_configurations(SpaceSection(), 30, seed=seed)) for seed in (0, 1))
    assert not first & second


@settings(max_examples=60, deadline=None)
@given(
    widths=st.lists(st.integers(1, 2048), min_size=1, max_size=7),
    depths=st.lists(st.integers(0, 16), min_size=1, max_size=7),
    ends=st.lists(st.floats(1e-6, 0.9), min_size=6, max_size=6),
    scales=st.lists(st.sampled_from(["linear", "log"]), min_size=3, max_size=3),
    seed=st.integers(0, 2**31),
)
def test_a_draw_is_keras_tuners_to_the_bit(widths, depths, ends, scales, seed):
    import keras_tuner

    intervals = [
        Interval(min=min(pair), max=max(pair), sampling=scale)
        for pair, scale in zip(zip(ends[::2], ends[1::2], strict=True), scales, strict=True)
    ]
    ranges = dict(zip(("dropout", "l2", "learning_rate"), intervals, strict=True))
    space = SpaceSection(head_width=widths, unfreeze_depth=depths, **ranges)
    declared = keras_tuner.HyperParameters()
    declare_space(declared, space)
    rng, expected = generator(seed, "configurations"), {}
    for _ in range(20):
        values = {item.name: item.prob_to_value(rng.random()) for item in declared.space}
        for item in declared.space:
            if isinstance(item, keras_tuner.engine.hyperparameters.Float):
                rounded = float(f"{values[item.name]:.3g}")
                values[item.name] = min(max(rounded, item.min_value), item.max_value)
        expected[Configuration.from_values(values)] = None
    assert list(draw_configurations(space, 20, seed=seed))[: len(expected)] == list(expected)
