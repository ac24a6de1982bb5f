"""optuna's SQLite storage, filled at once with trials that have ended.

By itself optuna asks the database whether each hyperparameter, attribute and intermediate value of a trial is there
already, and flushes to the disk what it has: 40 ms a trial of 30 epochs. Here the tables are filled in memory, a
study's in one transaction, and copied to the file. They are optuna's own models, which are not public: `pyproject.toml`
bounds optuna, and a test compares with what its storage writes trial by trial.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna


@contextmanager
def sqlite_storage(path: Path) -> Iterator[optuna.storages.RDBStorage]:
    """An empty storage in memory, written to a file when the block ends well.

    Raises:
        FileExistsError: If the file is there.
    """
    import optuna

    storage = optuna.storages.RDBStorage("sqlite://")
    try:
        yield storage
        path.touch(exist_ok=False)
        with storage.engine.connect() as memory, closing(sqlite3.connect(path)) as file:
            memory.connection.driver_connection.backup(file)  # type: ignore[union-attr]
    finally:
        storage.engine.dispose()


def insert_trials(
    storage: optuna.storages.RDBStorage, study: optuna.Study, trials: Sequence[optuna.trial.FrozenTrial]
) -> None:
    """Add trials to a study without any, as `optuna.Study.add_trials` does.

    Args:
        storage: From `sqlite_storage`.
        study: A study in it.
        trials: Trials of one objective that have ended, without system attributes; a hyperparameter has the same
            distribution in all of them.
    """
    from optuna.storages._rdb import models
    from sqlalchemy import insert
    from sqlalchemy.orm import Session

    study_id = storage.get_study_id_from_name(study.study_name)
    with Session(storage.engine) as session, session.begin():
        parents = [
            models.TrialModel(
                study_id=study_id,
                number=number,
                state=trial.state,
                datetime_start=trial.datetime_start,
                datetime_complete=trial.datetime_complete,
            )
            for number, trial in enumerate(trials)
        ]
        session.add_all(parents)
        session.flush()  # now they have ids
        rows: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for parent, trial in zip(parents, trials, strict=True):
            for model, row in _rows(models, trial):
                rows[model].append({"trial_id": parent.trial_id, **row})
        for model, of_model in rows.items():
            session.execute(insert(model), of_model)


def _rows(models: Any, trial: optuna.trial.FrozenTrial) -> Iterator[tuple[Any, dict[str, Any]]]:
    """All that a trial has beside its own row, each with its table's model."""
    from optuna.distributions import distribution_to_json

    if trial.value is not None:
        value, kind = models.TrialValueModel.value_to_stored_repr(trial.value)
        yield models.TrialValueModel, {"objective": 0, "value": value, "value_type": kind}
    for name, distribution in trial.distributions.items():
        place = distribution.to_internal_repr(trial.params[name])
        text = distribution_to_json(distribution)
        yield models.TrialParamModel, {"param_name": name, "param_value": place, "distribution_json": text}
    for key, attribute in trial.user_attrs.items():
        yield models.TrialUserAttributeModel, {"key": key, "value_json": json.dumps(attribute)}
    curve_model = models.TrialIntermediateValueModel
    for step, value in trial.intermediate_values.items():
        value, kind = curve_model.intermediate_value_to_stored_repr(value)
        yield curve_model, {"step": step, "intermediate_value": value, "intermediate_value_type": kind}
