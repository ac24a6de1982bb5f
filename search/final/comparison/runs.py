"""A complete run as it is compared: its own files, checked; nothing is read anew."""

from __future__ import annotations

import csv
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports import Predictions, ReportError, TrialRecord, ranked
from reports.evaluation.comparison import HeldOut
from reports.predictions import OUTER_FOLD
from search.errors import RunError
from search.final.finalists import Finalists, read_finalists
from search.run_folder.directory import RunDirectory
from search.run_folder.ledger import films_of
from search.run_folder.manifest import Manifest
from search.run_folder.metrics import read_metrics
from search.run_folder.trial_log import recorded

FIGURES = ("primary_auc", "abnormal_auc", "macro_ovr_auc", "balanced_accuracy", "brier", "log_loss")
"""What runs are compared by; of the last two less is better."""


class ComparedRun:
    """A complete run as it is compared.

    Args:
        directory: Its folder.

    Attributes:
        directory: Its folder.
        manifest: Its run.json.
        metrics: Its metrics.json.
        held_out: What it says of patients that it has not seen; of a nested run, of all.
        trials: Of its search; of a nested run, of the last one.

    Raises:
        RunError: If it is not complete, or a file of it is missing or changed.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.directory, self.manifest = directory, directory.read_manifest()
        if self.manifest.status != "complete":
            raise RunError(
                expected="complete runs",
                found=f"{directory.name}, which has not ended",
                remedy=f"Go on with it first; mammo-search status {directory.name} says how.",
            )
        file = directory.best / "predictions.csv"
        directory.check_output(directory.best / "metrics.json")
        directory.check_output(file)
        self.metrics = read_metrics(directory)
        if missing := [name for name in ("primary_endpoint", *FIGURES) if name not in self.metrics]:
            raise RunError(
                expected=f"metrics.json with {', '.join(missing)}",
                found=f"none in {directory.best / 'metrics.json'}",
                remedy="Restore the file, or search again with this version.",
            )
        try:
            predictions = Predictions.read_csv(file)
        except (ReportError, OSError, ValueError, csv.Error) as error:
            raise RunError(
                expected="predictions as the run wrote them", found=f"{file}: {error}", remedy="Restore the file."
            ) from None
        self.held_out = HeldOut(predictions, _outer_folds(self) if self.is_nested else None)
        self.trials = recorded(directory)

    @property
    def name(self) -> str:
        """The run's name."""
        return self.directory.name

    @property
    def is_nested(self) -> bool:
        """Whether its predictions come from several outer searches."""
        return self.manifest.protocol == "nested" and self.manifest.outer is None

    @property
    def protocol(self) -> str:
        """ "holdout", an outer search of a nested run as well, or "nested"."""
        return "nested" if self.is_nested else "holdout"

    @cached_property
    def films(self) -> str:
        """Fingerprint of the films that were read; "" where an older version has not written it down."""
        return films_of(self.directory.runs, self.name, began=self.manifest.created)

    @cached_property
    def finalists(self) -> Finalists | None:
        """Of a run with one search; None for a nested one, or where the folder ``oof`` has been deleted."""
        if self.is_nested or not ranked(self.trials) or not (self.directory.path / "oof").is_dir():
            return None
        return read_finalists(self.directory.path / "oof", self.trials, self.metrics["class_names"])

    @property
    def settings(self) -> dict[str, Any]:
        """What results depend on, by path, and what it was computed with."""
        manifest: Manifest = self.manifest
        others = {"weights": manifest.weights, "precision": manifest.precision.name, "device": manifest.device}
        return {**manifest.settings, **others, "results version": manifest.results_version}

    @property
    def cost(self) -> dict[str, Any]:
        """Trials, epochs and seconds of the search; of a nested run, of all its searches."""
        records = [*self.trials, *(each for search in _outer_trials(self) for each in search)]
        return {
            "trials": len(records),
            "epochs": sum(each.epochs - each.initial_epoch for each in records if each.status == "completed"),
            "seconds": sum(each.seconds for each in records),
        }


def _outer_folds(run: ComparedRun) -> NDArray[np.int64]:
    file = run.directory.best / "predictions.csv"
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            return np.array([int(row[OUTER_FOLD]) for row in csv.DictReader(stream)])
    except (KeyError, ValueError, TypeError):
        raise RunError(
            expected=f"{file} with the column {OUTER_FOLD}", found="none", remedy="Restore the file."
        ) from None


def _outer_trials(run: ComparedRun) -> list[tuple[TrialRecord, ...]]:
    return [recorded(run.directory.outer(fold)) for fold in range(run.manifest.searches - 1)]
