"""The space of a run as the reports take it, from what its manifest says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.search_plots.space import Dimension

_SPACE = "space."
_NO_HYPERPARAMETERS = {"known"}


def recorded_dimensions(settings: Mapping[str, Any]) -> tuple[Dimension, ...]:
    """The hyperparameters of a run, those that change the network first.

    Args:
        settings: The manifest's, by path (`run_settings.result_settings`).

    Returns:
        A dimension each: a list of values is a choice, ``min``, ``max`` and ``sampling`` are a range. None where the
        manifest has no space.
    """
    space = {path.removeprefix(_SPACE): value for path, value in settings.items() if path.startswith(_SPACE)}
    choices = [
        Dimension.of_choices(name, values)
        for name, values in sorted(space.items(), reverse=True)
        if isinstance(values, list) and values and name not in _NO_HYPERPARAMETERS
    ]
    ranges = [
        Dimension(
            name,
            float(space[path]),
            float(space[f"{name}.max"]),
            log=space.get(f"{name}.sampling") == "log",
        )
        for path in sorted(space, reverse=True)
        if path.endswith(".min") and f"{(name := path.removesuffix('.min'))}.max" in space
    ]
    return (*choices, *ranges)
