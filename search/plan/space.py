"""Search space, in KerasTuner's terms and in the reports', and the configurations that are drawn from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from reports.search_plots.space import Dimension
from search.config.schema import Interval, SpaceSection
from search.errors import RunError
from search.seeding import generator

if TYPE_CHECKING:
    import keras_tuner


DRAWS_BEFORE_EXHAUSTED = 1_000
"""So many draws in a row of what was drawn before, and a discrete space is taken for exhausted."""
_SPACE = "space."
_NO_HYPERPARAMETERS = {"known"}


@dataclass(frozen=True)
class Configuration:
    """One point of the space.

    Attributes:
        head_width: Units of the hidden dense layer.
        dropout: Dropout rate, in [0, 1).
        l2: Factor of the squared dense kernels in the loss.
        learning_rate: Peak learning rate.
        unfreeze_depth: Residual units trained, counted from the end; 0 is the head alone.
    """

    head_width: int
    dropout: float
    l2: float
    learning_rate: float
    unfreeze_depth: int

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Configuration:
        """The configuration among KerasTuner's values, whose other entries are ignored."""
        return cls(
            head_width=int(values["head_width"]),
            dropout=float(values["dropout"]),
            l2=float(values["l2"]),
            learning_rate=float(values["learning_rate"]),
            unfreeze_depth=int(values["unfreeze_depth"]),
        )


def declare_space(hyperparameters: keras_tuner.HyperParameters, space: SpaceSection) -> None:
    """Declare the five hyperparameters; the default of each is the middle of its range."""
    for name, wanted in _ranges(space).items():
        if not isinstance(wanted, Interval):
            ordered = sorted(set(wanted))
            hyperparameters.Choice(name, ordered, default=ordered[(len(ordered) - 1) // 2], ordered=True)
        elif wanted.min == wanted.max:
            hyperparameters.Fixed(name, wanted.min)
        else:
            low, high, sampling = wanted.min, wanted.max, wanted.sampling
            middle = (low * high) ** 0.5 if sampling == "log" else (low + high) / 2
            hyperparameters.Float(name, low, high, sampling=sampling, default=float(f"{middle:.3g}"))


def known_configurations(space: SpaceSection) -> tuple[Configuration, ...]:
    """What the configuration says is to be tried first, in its order."""
    return tuple(Configuration(**known.model_dump()) for known in space.known)


def draw_configurations(space: SpaceSection, count: int, *, seed: int) -> tuple[Configuration, ...]:
    """Take the known configurations, then draw different ones, uniformly on each range's own scale.

    The values are KerasTuner's to the bit, which is not asked: it would start TensorFlow.

    The first n of a longer draw are the n of a shorter one. Real values are rounded to three significant digits, so
    that what a table shows is what was trained.

    Args:
        space: The ranges.
        count: How many to draw.
        seed: Seed of the search.

    Returns:
        At most ``count`` configurations; fewer where a discrete space holds no more.
    """
    rng = generator(seed, "configurations")
    drawn = dict.fromkeys(known_configurations(space))
    misses = 0
    while len(drawn) < count and misses < DRAWS_BEFORE_EXHAUSTED:
        configuration = Configuration(**{name: _value(wanted, rng.random()) for name, wanted in _ranges(space).items()})
        misses = misses + 1 if configuration in drawn else 0
        drawn[configuration] = None
    return tuple(drawn)[:count]


def _ranges(space: SpaceSection) -> dict[str, Interval | tuple[int, ...]]:
    """Name of each hyperparameter to its range or its choices, in the order in which they are declared and drawn."""
    return {each.name: getattr(space, each.name) for each in fields(Configuration)}


def _value(wanted: Interval | tuple[int, ...], probability: float) -> Any:
    """The value at a cumulative probability in [0, 1), as KerasTuner has it; a real one to three digits."""
    if not isinstance(wanted, Interval):
        ordered = sorted(set(wanted))
        return ordered[min(int(probability / (1 / len(ordered))), len(ordered) - 1)]
    low, high = wanted.min, wanted.max
    if low == high:
        return low
    value = low * math.pow(high / low, probability) if wanted.sampling == "log" else probability * (high - low) + low
    return min(max(float(f"{value:.3g}"), low), high)


def recorded_dimensions(settings: Mapping[str, Any]) -> tuple[Dimension, ...]:
    """The hyperparameters of a run, those that change the network first.

    Args:
        settings: The manifest's, by path (`search.run_folder.lifecycle.result_settings`).

    Returns:
        A dimension each: a list of values is a choice, ``min``, ``max`` and ``sampling`` are a range. None where the
        manifest has no space.

    Raises:
        RunError: If these are no choices and ranges of numbers.
    """
    try:
        dimensions = _dimensions(
            {path.removeprefix(_SPACE): each for path, each in settings.items() if path.startswith(_SPACE)}
        )
        numbers = [number for each in dimensions for number in (each.low, each.high, *each.choices)]
        is_space = all(isinstance(number, str) or math.isfinite(number) for number in numbers)
        is_space &= all(each.low <= each.high and (each.low > 0 or not each.log) for each in dimensions)
    except (TypeError, ValueError, OverflowError):
        is_space = False
    if not is_space:
        raise RunError(
            expected="a space of choices and ranges among the settings in run.json",
            found="something else",
            remedy="Restore run.json, or look at the trials without their space: mammo-search trials.",
        )
    return dimensions


def _dimensions(space: Mapping[str, Any]) -> tuple[Dimension, ...]:
    choices = [
        Dimension.of_choices(name, values)
        for name, values in sorted(space.items(), reverse=True)
        if isinstance(values, list) and values and name not in _NO_HYPERPARAMETERS
    ]
    ranges = [
        Dimension(name, float(space[path]), float(space[f"{name}.max"]), log=space.get(f"{name}.sampling") == "log")
        for path in sorted(space, reverse=True)
        if path.endswith(".min") and f"{(name := path.removesuffix('.min'))}.max" in space
    ]
    return (*choices, *ranges)
