"""The trial table as optuna studies: what its plots, its importances and its dashboard read.

Scores compare within one budget (epochs trained) only. So there is one study a budget, holding the completed runs that
ended there; and one of the whole search in optuna's own terms of Hyperband, where a trial is a configuration with its
mean curve as intermediate values: complete where it reached the full budget, pruned where it was not promoted, failed
where it failed. Nothing of optuna samples, and no score is changed.

User attributes of a trial: ``run``, ``configuration``, ``bracket``, ``rung``, ``parent``, ``initial_epoch``,
``epochs``, ``best_epoch``, ``objective_sd``, ``error``; of a study: ``run_name``, ``epochs``.

A search's dimensions as optuna's distributions: as they were searched, to be plotted, and to be weighed.
"""

from __future__ import annotations

import importlib.util
import math
import statistics
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reports.errors import ReportError
from reports.search_plots.space import Dimension, covering
from reports.trials import TrialRecord, fold_objectives

if TYPE_CHECKING:
    import optuna


class MissingOptunaError(ReportError):
    """optuna, an extra, is not installed."""

    exit_code = 1

    def __init__(self) -> None:
        super().__init__(
            expected="optuna, for plots of a search and for its dashboard",
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


def comparable_runs(records: Sequence[TrialRecord], epochs: int) -> tuple[TrialRecord, ...]:
    """The completed runs that ended after so many epochs, with a defined objective, in their order."""
    return tuple(
        sorted(
            (
                record
                for record in records
                if record.epochs == epochs
                and record.status == "completed"
                and record.objective is not None
                and math.isfinite(record.objective)
            ),
            key=lambda record: record.trial,
        )
    )


def budgets(records: Sequence[TrialRecord], *, at_least: int = 1) -> tuple[int, ...]:
    """Epoch counts at which at least so many runs can be compared, the largest first."""
    counts = Counter(
        epochs for epochs in {record.epochs for record in records} for _ in comparable_runs(records, epochs)
    )
    return tuple(sorted((epochs for epochs, count in counts.items() if count >= at_least), reverse=True))


def study_at(
    records: Sequence[TrialRecord],
    epochs: int,
    dimensions: Sequence[Dimension],
    *,
    ordinal: bool = False,
    objectives: Sequence[float] | None = None,
) -> optuna.Study:
    """The comparable runs of one budget as a study in memory; its trial numbers count from 0 in the order of the runs.

    Args:
        records: All runs.
        epochs: The budget.
        dimensions: The space; a hyperparameter with one value only is left out.
        ordinal: Give each hyperparameter as a number on the scale it was drawn on: log10 of a log-scaled one, the
            position of a choice. For importances, which weigh a range evenly.
        objectives: Scores to put in the place of the runs' own; as many as there are comparable runs.
    """
    with quiet_optuna() as optuna:
        study = optuna.create_study(direction="maximize")
        runs = comparable_runs(records, epochs)
        scores = objectives if objectives is not None else [record.objective for record in runs]
        space = [dimension for dimension in covering(dimensions, records) if not dimension.is_fixed]
        for record, score in zip(runs, scores, strict=True):
            values = {d.name: record.hyperparameters[d.name] for d in space if d.name in record.hyperparameters}
            if ordinal:
                distributions = {d.name: ordinal_distribution(d) for d in space if d.name in values}
                values = {d.name: ordinal_value(d, values[d.name]) for d in space if d.name in values}
            else:
                distributions = {d.name: plotted_distribution(d) for d in space if d.name in values}
            study.add_trial(
                optuna.create_trial(
                    params=values, distributions=distributions, value=score, user_attrs=trial_attributes(record)
                )
            )
    return study


def trial_attributes(record: TrialRecord) -> dict[str, Any]:
    """The user attributes of a run's trial."""
    folds = fold_objectives(record)
    spread = statistics.stdev(folds) if len(folds) > 1 else None
    return {
        "run": record.trial,
        "configuration": record.configuration,
        "bracket": record.bracket,
        "rung": record.rung,
        "parent": record.parent,
        "initial_epoch": record.initial_epoch,
        "epochs": record.epochs,
        "best_epoch": record.best_epoch,
        "objective_sd": spread if spread is not None and math.isfinite(spread) else None,
        "error": record.error or "",
    }


def exported_distribution(dimension: Dimension) -> Any:
    """As it was searched: choices as categories."""
    import optuna

    if dimension.choices:
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def plotted_distribution(dimension: Dimension) -> Any:
    """Whole numbers as numbers: optuna's plots would put categories on a linear axis, or sort them as text."""
    import optuna

    if dimension.choices and all(isinstance(choice, int) for choice in dimension.choices):
        return optuna.distributions.IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return exported_distribution(dimension)


def ordinal_distribution(dimension: Dimension) -> Any:
    """On the scale it was drawn on, for importances: log10 of a log-scaled one, the position of a choice."""
    import optuna

    if dimension.is_text:
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    if dimension.choices:
        return optuna.distributions.IntDistribution(0, len(dimension.choices) - 1)
    low, high = (math.log10(x) if dimension.log else x for x in (dimension.low, dimension.high))
    return optuna.distributions.FloatDistribution(low, high)


def ordinal_value(dimension: Dimension, value: Any) -> Any:
    """A value on the scale of `ordinal_distribution`."""
    if dimension.is_text:
        return value
    if dimension.choices:
        return dimension.choices.index(value)
    low, high = (math.log10(x) if dimension.log else x for x in (dimension.low, dimension.high))
    # A bound's logarithm may lie a rounding error inside the value's.
    return min(max(math.log10(value) if dimension.log else value, low), high)
