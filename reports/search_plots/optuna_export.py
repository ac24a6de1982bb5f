"""The export of a search to a file that optuna and optuna-dashboard open.

It holds the studies that `reports.search_plots.optuna_study` describes: the whole search in optuna's own terms, and one
study a budget.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from reports.errors import ReportError
from reports.search_plots.optuna_sqlite import insert_trials, sqlite_storage
from reports.search_plots.optuna_study import (
    budgets,
    comparable_trials,
    exported_distribution,
    optuna_trial,
    quiet_optuna,
)
from reports.search_plots.space import Dimension, covering
from reports.trials import OBJECTIVE_CURVE, TrialRecord

JOURNAL_SUFFIXES, SQLITE_SUFFIXES = (".log", ".journal"), (".db", ".sqlite", ".sqlite3")


def export_studies(
    records: Sequence[TrialRecord],
    dimensions: Sequence[Dimension],
    path: Path,
    *,
    name: str,
    full_epochs: int | None = None,
) -> tuple[str, ...]:
    """Write studies that optuna and optuna-dashboard open: the whole search, and one a budget.

    Args:
        records: All trials.
        dimensions: The space.
        path: A file that is not there yet: SQLite for .db, .sqlite and .sqlite3, optuna's journal for .log and
            .journal.
        name: Name of the run; the studies' names begin with it.
        full_epochs: The full budget of the plan; None where it is not known: the most epochs of any trial.

    Returns:
        The names of the studies, the whole search's first.

    Raises:
        MissingOptunaError: If optuna is not installed.
        ReportError: If the file's ending is another one.
        FileExistsError: If there is an SQLite file already.
    """
    with quiet_optuna() as optuna, _storage(optuna, path) as (storage, add_trials):
        space = covering(dimensions, records)
        contents: dict[str, tuple[int | None, list[Any]]] = {
            name: (None, _whole_search(optuna, records, space, full_epochs))
        }
        for epochs in budgets(records):
            trials = [_trial(optuna, record, space) for record in comparable_trials(records, epochs)]
            contents[f"{name}, trials of {epochs} epochs"] = epochs, trials
        for study_name, (budget, trials) in contents.items():
            study = optuna.create_study(storage=storage, study_name=study_name, direction="maximize")
            study.set_metric_names([OBJECTIVE_CURVE])
            study.set_user_attr("run_name", name)
            if budget is not None:
                study.set_user_attr("epochs", budget)
            add_trials(study, trials)
    return tuple(contents)


@contextmanager
def _storage(optuna: Any, path: Path) -> Iterator[tuple[Any, Callable[[Any, list[Any]], None]]]:
    """Where studies are written, and how trials are added to one of them."""
    if path.suffix in SQLITE_SUFFIXES:
        with sqlite_storage(path) as storage:
            yield storage, partial(insert_trials, storage)
    elif path.suffix in JOURNAL_SUFFIXES:
        backend = optuna.storages.journal.JournalFileBackend(str(path))
        yield optuna.storages.JournalStorage(backend), optuna.Study.add_trials
    else:
        raise ReportError(
            expected=f"a file ending in {', '.join(SQLITE_SUFFIXES + JOURNAL_SUFFIXES)}",
            found=str(path),
            remedy="Name it search.db (SQLite) or search.log (journal).",
        )


def _whole_search(
    optuna: Any, records: Sequence[TrialRecord], space: Sequence[Dimension], full_epochs: int | None
) -> list[Any]:
    """A trial a configuration, by its last one."""
    full = full_epochs or max((record.epochs for record in records), default=0)
    by_configuration: dict[int, list[TrialRecord]] = {}
    for record in sorted(records, key=lambda record: record.trial):
        by_configuration.setdefault(record.configuration, []).append(record)
    trials = []
    for of_configuration in by_configuration.values():
        last = of_configuration[-1]
        if last.status == "failed" or not comparable_trials([last], last.epochs):
            state = optuna.trial.TrialState.FAIL
        else:
            state = optuna.trial.TrialState.COMPLETE if last.epochs == full else optuna.trial.TrialState.PRUNED
        trials.append(_trial(optuna, last, space, state=state, first=of_configuration[0]))
    return trials


def _trial(
    optuna: Any, record: TrialRecord, space: Sequence[Dimension], *, state: Any = None, first: TrialRecord | None = None
) -> Any:
    complete = optuna.trial.TrialState.COMPLETE
    trial = optuna_trial(
        record,
        space,
        exported_distribution,
        state=state or complete,
        value=record.objective if state in (None, complete) else None,
        intermediate_values=_mean_curve(record),
    )
    trial.datetime_start = _local_time((first or record).started) or trial.datetime_start
    if record.started:
        trial.datetime_complete = _local_time(record.started) + timedelta(seconds=record.seconds)  # type: ignore[operator]
    return trial


def _mean_curve(record: TrialRecord) -> dict[int, float]:
    folds = record.curves.get(OBJECTIVE_CURVE, ())
    means = [statistics.fmean(column) for column in zip(*folds, strict=True)]
    return {epoch: value for epoch, value in enumerate(means, start=1) if math.isfinite(value)}


def _local_time(started: str) -> datetime | None:
    # optuna's times are naive and local.
    return datetime.fromisoformat(started).astimezone().replace(tzinfo=None) if started else None
