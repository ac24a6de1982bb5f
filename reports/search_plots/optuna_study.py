"""Studies of optuna's made of a search's trials: what its plots, its importances and its dashboard read.

Scores compare within one budget (epochs trained) only, so a study here holds the completed trials that ended at one;
the export's hold the others as well. Nothing of optuna samples, and no score is changed. A search's dimensions become
optuna's distributions in two ways: as they were searched, and to be weighed.

User attributes of a trial: ``trial``, ``configuration``, ``bracket``, ``rung``, ``parent``, ``initial_epoch``,
``epochs``, ``best_epoch``, ``objective_sd``, ``error``; of a study: ``run_name``, ``epochs``.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reports.errors import ReportError
from reports.search_plots.space import Dimension, covering
from reports.trials import TrialRecord, objective_sd

if TYPE_CHECKING:
    import optuna


class MissingOptunaError(ReportError):
    """optuna, an extra, is not installed."""

    exit_code = 1

    def __init__(self) -> None:
        super().__init__(
            expected="optuna, for importances and for its dashboard",
            found="it is not installed",
            remedy="Install it: uv sync --extra plots (or: pip install optuna).",
        )


def require_optuna() -> None:
    """Say what is missing before any work is done.

    Raises:
        MissingOptunaError: If optuna is not installed.
    """
    if not has_optuna():
        raise MissingOptunaError


def has_optuna() -> bool:
    """Whether optuna is installed; it is not imported."""
    return importlib.util.find_spec("optuna") is not None


@contextmanager
def quiet_optuna() -> Iterator[Any]:
    """optuna, without its messages and its warnings about experimental parts.

    Raises:
        MissingOptunaError: If it is not installed.
    """
    require_optuna()
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield optuna
    finally:
        optuna.logging.set_verbosity(verbosity)


def comparable_trials(records: Sequence[TrialRecord], epochs: int) -> tuple[TrialRecord, ...]:
    """The completed trials that ended after so many epochs, with a defined objective, in their order."""
    completed = [record for record in records if record.epochs == epochs and record.status == "completed"]
    defined = [record for record in completed if record.objective is not None and math.isfinite(record.objective)]
    return tuple(sorted(defined, key=lambda record: record.trial))


def budgets(records: Sequence[TrialRecord], *, at_least: int = 1) -> tuple[int, ...]:
    """Epoch counts at which at least so many trials can be compared, the largest first."""
    known = sorted({record.epochs for record in records}, reverse=True)
    return tuple(epochs for epochs in known if len(comparable_trials(records, epochs)) >= at_least)


def study_at(
    records: Sequence[TrialRecord],
    epochs: int,
    dimensions: Sequence[Dimension],
    *,
    objectives: Sequence[float] | None = None,
) -> optuna.Study:
    """The comparable trials of one budget as a study in memory, for importances; optuna numbers them from 0, in order.

    Each hyperparameter is a number on the scale it was drawn on: log10 of a log-scaled one, the position of a choice.

    Args:
        records: All trials.
        epochs: The budget.
        dimensions: The space; a hyperparameter with one value only is left out.
        objectives: Scores to put in the place of the trials' own; as many as there are comparable trials.
    """
    with quiet_optuna() as optuna:
        study = optuna.create_study(direction="maximize")
        trials = comparable_trials(records, epochs)
        scores = objectives if objectives is not None else [record.objective for record in trials]
        space = [dimension for dimension in covering(dimensions, records) if not dimension.is_fixed]
        for record, score in zip(trials, scores, strict=True):
            study.add_trial(optuna_trial(record, space, ordinal_distribution, value=score))
    return study


def optuna_trial(
    record: TrialRecord, space: Sequence[Dimension], distribution: Callable[[Dimension], Any], **others: Any
) -> Any:
    """A trial as one of optuna's, with its user attributes.

    Args:
        record: The trial.
        space: The hyperparameters to give, those that the trial lacks left out.
        distribution: One of the two below.
        **others: What `optuna.create_trial` takes beside them.
    """
    import optuna

    held = {dimension.name: dimension for dimension in space if dimension.name in record.hyperparameters}
    values = {name: record.hyperparameters[name] for name in held}
    if distribution is ordinal_distribution:
        values = {name: ordinal_value(held[name], value) for name, value in values.items()}
    names = ("trial", "configuration", "bracket", "rung", "parent", "initial_epoch", "epochs", "best_epoch")
    rest = {"objective_sd": objective_sd(record), "error": record.error or ""}
    return optuna.create_trial(
        params=values,
        distributions={name: distribution(dimension) for name, dimension in held.items()},
        user_attrs={name: getattr(record, name) for name in names} | rest,
        **others,
    )


def exported_distribution(dimension: Dimension) -> Any:
    """As it was searched: choices as categories."""
    import optuna

    if dimension.choices:
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def ordinal_distribution(dimension: Dimension) -> Any:
    """On the scale it was drawn on, for importances: log10 of a log-scaled one, the position of a choice."""
    import optuna

    if dimension.is_text:
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    if dimension.choices:
        return optuna.distributions.IntDistribution(0, len(dimension.choices) - 1)
    return optuna.distributions.FloatDistribution(*_ordinal_bounds(dimension))


def ordinal_value(dimension: Dimension, value: Any) -> Any:
    """A value on the scale of `ordinal_distribution`."""
    if dimension.is_text:
        return value
    if dimension.choices:
        return dimension.choices.index(value)
    low, high = _ordinal_bounds(dimension)
    # A bound's logarithm may lie a rounding error inside the value's.
    return min(max(math.log10(value) if dimension.log else value, low), high)


def _ordinal_bounds(dimension: Dimension) -> tuple[float, float]:
    low, high = dimension.low, dimension.high
    return (math.log10(low), math.log10(high)) if dimension.log else (low, high)
