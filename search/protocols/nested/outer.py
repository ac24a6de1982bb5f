"""Outer folds: what each finished outer search of a nested run has left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports import OuterFold, Predictions, ReportError, best_trial
from reports.evaluation.baselines import BASELINES, predictions_name
from search.errors import RunError
from search.run_folder.directory import RunDirectory
from search.run_folder.trial_log import read_records


@dataclass(frozen=True)
class OuterPredictions:
    """What the outer folds' models said of the patients they had not seen.

    Attributes:
        exported: Their predictions, all folds one after the other.
        corrected: The same, each with its own fold's correction, if it has chosen one; None where a fold could not.
        fold_of_case: Outer fold of each case, from 1, int64 [n].
        baselines: Name of each baseline that every fold has to what its models said of the same cases.
    """

    exported: Predictions
    corrected: Predictions | None
    fold_of_case: NDArray[np.int64]
    baselines: Mapping[str, Predictions]


def check_outer(directory: RunDirectory) -> None:
    """See that a finished outer search still has what the end of the run will ask of it.

    Raises:
        RunError: If a file is missing, or has changed since.
    """
    read_outer(directory, 1)
    outer_predictions([directory])


def read_outer(directory: RunDirectory, number: int) -> OuterFold:
    """What a finished outer search has left.

    Args:
        directory: Its folder.
        number: Of the outer fold, from 1.

    Raises:
        RunError: If a file is missing, or has changed since.
    """
    try:
        metrics = json.loads(directory.check_output(directory.best / "metrics.json").read_text(encoding="utf-8"))
        winner = best_trial(read_records(directory.check_output(directory.trials_file)))
        directory.check_output(directory.audit_file)  # the report's, which is made much later
    except (OSError, ValueError, ReportError, RunError) as error:
        raise _incomplete(directory, error) from None
    return OuterFold(
        number=number,
        patients=metrics["n_patients"],
        class_counts=metrics["class_counts"],
        metrics=metrics,
        winner=winner,
        readings=metrics["holdout_readings"],
        report=f"../{directory.path.name}/best/{directory.report_file.name}",
    )


def outer_predictions(directories: Sequence[RunDirectory]) -> OuterPredictions:
    """The predictions of all outer searches, in the order of their folds.

    Raises:
        RunError: If a file is missing, or has changed since.
    """
    exported = _read(directories, "predictions")
    corrected = _read_where_all_have_it(directories, "predictions_corrected")
    fold_of_case = np.concatenate([np.full(len(part), number) for number, part in enumerate(exported, start=1)])
    baselines = {name: _read_where_all_have_it(directories, predictions_name(name)) for name in BASELINES}
    return OuterPredictions(
        exported=_concatenated(exported),
        corrected=_concatenated(corrected) if corrected else None,
        fold_of_case=fold_of_case.astype(np.int64),
        baselines={name: _concatenated(parts) for name, parts in baselines.items() if parts},
    )


def _read_where_all_have_it(directories: Sequence[RunDirectory], name: str) -> list[Predictions]:
    """A table of each outer search; none where one of them has none."""
    has_it = all(f"{name}.csv" in directory.read_manifest().outputs for directory in directories)
    return _read(directories, name) if has_it else []


def _read(directories: Sequence[RunDirectory], name: str) -> list[Predictions]:
    tables = []
    for directory in directories:
        try:
            tables.append(Predictions.read_csv(directory.check_output(directory.best / f"{name}.csv")))
        except (OSError, ReportError, RunError) as error:
            raise _incomplete(directory, error) from None
    return tables


def _concatenated(parts: Sequence[Predictions]) -> Predictions:
    return Predictions(
        image_ids=tuple(name for part in parts for name in part.image_ids),
        patient_ids=tuple(name for part in parts for name in part.patient_ids),
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        class_names=parts[0].class_names,
    )


def _incomplete(directory: RunDirectory, error: Exception) -> RunError:
    return RunError(
        expected=f"what the finished outer search in {directory.path} has left",
        found=str(error),
        remedy="Delete that folder; the same command then searches its fold again.",
    )
