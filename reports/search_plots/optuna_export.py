"""The export of a search to a file that optuna and optuna-dashboard open.

Scores compare within one budget (epochs trained) only, so there is one study a budget: that of the full budget has the
run's name, the others say theirs. Each has all trials in their order, so that a trial has the search's own number in
all of them: complete where it ended at that budget, pruned where it ended at another, failed where it failed.
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
    """Write studies that optuna and optuna-dashboard open, one a budget.

    Args:
        records: All trials.
        dimensions: The space.
        path: A file that is not there yet: SQLite for .db, .sqlite and .sqlite3, optuna's journal for .log and
            .journal.
        name: Name of the run; the studies' names begin with it.
        full_epochs: The full budget of the plan; None where it is not known: the most epochs of any trial.

    Returns:
        The names of the studies, that of the full budget first.

    Raises:
        MissingOptunaError: If optuna is not installed.
        ReportError: If the file's ending is another one.
        FileExistsError: If there is an SQLite file already.
    """
    with quiet_optuna() as optuna, _storage(optuna, path) as (storage, add_trials):
        space = covering(dimensions, records)
        full = full_epochs or max((record.epochs for record in records), default=0)
        others = [epochs for epochs in budgets(records) if epochs != full]
        names = {full: name} | {epochs: f"{name}, trials of {epochs} epochs" for epochs in others}
        for epochs, study_name in names.items():
            study = optuna.create_study(storage=storage, study_name=study_name, direction="maximize")
            study.set_metric_names([OBJECTIVE_CURVE])
            study.set_user_attr("run_name", name)
            study.set_user_attr("epochs", epochs)
            in_order = sorted(records, key=lambda record: record.trial)
            add_trials(study, [_trial(optuna, record, space, epochs) for record in in_order])
    return tuple(names.values())


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


def _trial(optuna: Any, record: TrialRecord, space: Sequence[Dimension], budget: int) -> Any:
    states = optuna.trial.TrialState
    state = states.COMPLETE if record.epochs == budget else states.PRUNED
    if not comparable_trials([record], record.epochs):
        state = states.FAIL
    trial = optuna_trial(
        record,
        space,
        exported_distribution,
        state=state,
        value=record.objective if state == states.COMPLETE else None,
        intermediate_values=_mean_curve(record),
    )
    trial.datetime_start = _local_time(record.started) or trial.datetime_start
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
