"""The trial table as optuna studies: what its plots, its importances and its dashboard read.

Scores compare within one budget (epochs trained) only. So there is one study a budget, holding the completed runs that
ended there; and one of the whole search in optuna's own terms of Hyperband, where a trial is a configuration with its
mean curve as intermediate values: complete where it reached the full budget, pruned where it was not promoted, failed
where it failed. Nothing of optuna samples, and no score is changed.

User attributes of a trial: ``run``, ``configuration``, ``bracket``, ``rung``, ``parent``, ``initial_epoch``,
``epochs``, ``best_epoch``, ``objective_sd``, ``error``; of a study: ``run_name``, ``epochs``.
"""

from __future__ import annotations

import importlib.util
import math
import statistics
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.errors import ReportError
from reports.search_space import Dimension, covering
from reports.trial_record import TrialRecord
from reports.trial_table import OBJECTIVE_CURVE, fold_objectives

if TYPE_CHECKING:
    import optuna

JOURNAL_SUFFIXES, SQLITE_SUFFIXES = (".log", ".journal"), (".db", ".sqlite", ".sqlite3")


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
            key=lambda record: record.run,
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
                distributions = {d.name: _ordinal_distribution(d) for d in space if d.name in values}
                values = {d.name: _ordinal(d, values[d.name]) for d in space if d.name in values}
            else:
                distributions = {d.name: _plotted_distribution(d) for d in space if d.name in values}
            study.add_trial(
                optuna.create_trial(
                    params=values, distributions=distributions, value=score, user_attrs=_attributes(record)
                )
            )
    return study


def export_studies(
    records: Sequence[TrialRecord], dimensions: Sequence[Dimension], path: Path, *, name: str
) -> tuple[str, ...]:
    """Write studies that optuna and optuna-dashboard open: the whole search, and one a budget.

    Args:
        records: All runs.
        dimensions: The space.
        path: A file that is not there yet: SQLite for .db, .sqlite and .sqlite3, optuna's journal for .log and
            .journal.
        name: Name of the run; the studies' names begin with it.

    Returns:
        The names of the studies, the whole search's first.

    Raises:
        MissingOptunaError: If optuna is not installed.
        ReportError: If the file's ending is another one.
    """
    with quiet_optuna() as optuna:
        if path.suffix in SQLITE_SUFFIXES:
            storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        elif path.suffix in JOURNAL_SUFFIXES:
            storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
        else:
            raise ReportError(
                expected=f"a file ending in {', '.join(SQLITE_SUFFIXES + JOURNAL_SUFFIXES)}",
                found=str(path),
                remedy="Name it search.db (SQLite) or search.log (journal).",
            )
        space = covering(dimensions, records)
        names = [_export(optuna, storage, name, name, None, _whole_search(optuna, records, space))]
        for epochs in budgets(records):
            trials = [_trial(optuna, record, space) for record in comparable_runs(records, epochs)]
            names.append(_export(optuna, storage, f"{name}, runs of {epochs} epochs", name, epochs, trials))
        if path.suffix in SQLITE_SUFFIXES:
            storage.engine.dispose()
    return tuple(names)


def _export(
    optuna: Any, storage: Any, study_name: str, run_name: str, epochs: int | None, trials: Sequence[Any]
) -> str:
    study = optuna.create_study(storage=storage, study_name=study_name, direction="maximize")
    study.set_metric_names([OBJECTIVE_CURVE])
    study.set_user_attr("run_name", run_name)
    if epochs is not None:
        study.set_user_attr("epochs", epochs)
    study.add_trials(trials)
    return study_name


def _whole_search(optuna: Any, records: Sequence[TrialRecord], space: Sequence[Dimension]) -> list[Any]:
    """A trial a configuration, by its last run."""
    full = max((record.epochs for record in records), default=0)
    by_configuration: dict[int, list[TrialRecord]] = {}
    for record in sorted(records, key=lambda record: record.run):
        by_configuration.setdefault(record.configuration, []).append(record)
    trials = []
    for runs in by_configuration.values():
        last = runs[-1]
        if last.status == "failed" or not comparable_runs([last], last.epochs):
            state = optuna.trial.TrialState.FAIL
        else:
            state = optuna.trial.TrialState.COMPLETE if last.epochs == full else optuna.trial.TrialState.PRUNED
        trials.append(_trial(optuna, last, space, state=state, first=runs[0]))
    return trials


def _trial(
    optuna: Any,
    record: TrialRecord,
    space: Sequence[Dimension],
    *,
    state: Any = None,
    first: TrialRecord | None = None,
) -> Any:
    held = [dimension for dimension in space if dimension.name in record.hyperparameters]
    complete = optuna.trial.TrialState.COMPLETE
    trial = optuna.create_trial(
        state=state or complete,
        params={dimension.name: record.hyperparameters[dimension.name] for dimension in held},
        distributions={dimension.name: _exported_distribution(dimension) for dimension in held},
        value=record.objective if (state or complete) == complete else None,
        intermediate_values=_mean_curve(record),
        user_attrs=_attributes(record),
    )
    trial.datetime_start = _local_time((first or record).started) or trial.datetime_start
    if record.started:
        trial.datetime_complete = _local_time(record.started) + timedelta(seconds=record.seconds)  # type: ignore[operator]
    return trial


def _mean_curve(record: TrialRecord) -> dict[int, float]:
    folds = record.curves.get(OBJECTIVE_CURVE, ())
    means = [statistics.fmean(column) for column in zip(*folds, strict=True)]
    return {epoch: value for epoch, value in enumerate(means, start=1) if math.isfinite(value)}


def _attributes(record: TrialRecord) -> dict[str, Any]:
    folds = fold_objectives(record)
    spread = statistics.stdev(folds) if len(folds) > 1 else None
    return {
        "run": record.run,
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


def _local_time(started: str) -> datetime | None:
    # optuna's times are naive and local.
    return datetime.fromisoformat(started).astimezone().replace(tzinfo=None) if started else None


def _exported_distribution(dimension: Dimension) -> Any:
    import optuna

    if dimension.choices:
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _plotted_distribution(dimension: Dimension) -> Any:
    """Whole numbers as numbers: optuna's plots would put categories on a linear axis, or sort them as text."""
    import optuna

    if dimension.choices and all(isinstance(choice, int) for choice in dimension.choices):
        return optuna.distributions.IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return _exported_distribution(dimension)


def _ordinal_distribution(dimension: Dimension) -> Any:
    import optuna

    if dimension.is_text:
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    if dimension.choices:
        return optuna.distributions.IntDistribution(0, len(dimension.choices) - 1)
    low, high = (math.log10(x) if dimension.log else x for x in (dimension.low, dimension.high))
    return optuna.distributions.FloatDistribution(low, high)


def _ordinal(dimension: Dimension, value: Any) -> Any:
    if dimension.is_text:
        return value
    if dimension.choices:
        return dimension.choices.index(value)
    low, high = (math.log10(x) if dimension.log else x for x in (dimension.low, dimension.high))
    # A bound's logarithm may lie a rounding error inside the value's.
    return min(max(math.log10(value) if dimension.log else value, low), high)
