"""A comparison of complete runs: what each says of the same held-out women, and of the same folds, against the first.

Differences are paired where the runs hold out the same images of the same patients; other women are compared only when
asked to, with the wider intervals of two samples. Nothing is read anew: predictions and metrics are the runs' own.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports import Interval, Predictions, ReportError, TrialRecord, ranked
from reports.evaluation.bbc_cv import corrected_difference
from reports.evaluation.comparison import HeldOut, differences
from reports.figures.forests import draw_comparison
from reports.figures.style import save
from reports.page.words import interval_text, metric_titles, short_duration, signed, value_of
from reports.page.worth import side_of
from reports.predictions import OUTER_FOLD
from search.errors import RunError
from search.final.finalists import Finalists, read_finalists
from search.run_folder.directory import RunDirectory
from search.run_folder.ledger import films_of
from search.run_folder.manifest import Manifest
from search.run_folder.metrics import read_metrics
from search.run_folder.trial_log import recorded
from search.trials.out_of_fold import OutOfFold

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


@dataclass(frozen=True)
class AgainstFirst:
    """A run against the first one.

    Attributes:
        paired: Whether both hold out the same images of the same patients.
        shared_patients: Held-out patients that both have.
        held_out: Each of `FIGURES` to the run's less the first one's.
        out_of_fold: The choice of its search less that of the first one's on the same folds, in macro AUC, each
            corrected for having been chosen (BBC-CV); None where the folds differ.
    """

    paired: bool
    shared_patients: int
    held_out: dict[str, Interval]
    out_of_fold: Interval | None


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other.

    Attributes:
        runs: At least two, in the order in which they were named.
        against: Of each but the first one.
    """

    runs: tuple[ComparedRun, ...]
    against: tuple[AgainstFirst, ...]

    @property
    def settings(self) -> dict[str, list[Any]]:
        """The settings that are not the same in all runs: by path, one value a run, None where it has none."""
        found: list[dict[str, Any]] = [run.settings for run in self.runs]
        paths = dict.fromkeys(path for each in found for path in each)
        values = {path: [each.get(path) for each in found] for path in paths}
        return {path: each for path, each in values.items() if any(value != each[0] for value in each)}

    def as_json(self) -> dict[str, Any]:
        """The answer as a JSON-able dict; the schema is in search/cli/README.md."""
        runs = []
        for run, against in zip(self.runs, (None, *self.against), strict=True):
            runs.append(
                {
                    "run": run.name,
                    "path": str(run.directory.path),
                    "protocol": run.protocol,
                    "demo": run.manifest.demo,
                    "images": len(run.held_out.predictions),
                    "patients": run.held_out.predictions.n_patients,
                    "holdout_readings": run.metrics.get("holdout_readings"),
                    "metrics": {name: run.metrics[name] for name in FIGURES},
                    "selection": run.metrics.get("selection"),
                    "cost": run.cost,
                    "difference": asdict(against) if against else None,
                }
            )
        return {"runs": runs, "settings": self.settings}

    def as_rows(self) -> list[tuple[str, str, str, str]]:
        """Lines of a table: what, run, its figure, and what it has over the first run."""
        titles, rows = metric_titles(self.runs[0].metrics), []
        for figure in FIGURES:
            for run, against in zip(self.runs, (None, *self.against), strict=True):
                less = "" if against is None else _less(asdict(against.held_out[figure]), paired=against.paired)
                rows.append((titles[figure], run.name, interval_text(run.metrics[figure]), less))
        for run, against in zip(self.runs, (None, *self.against), strict=True):
            found = (run.metrics.get("selection") or {}).get("corrected")
            less = "other folds" if against else ""
            if against is not None and against.out_of_fold is not None:
                less = _less(asdict(against.out_of_fold), paired=True)
            rows.append(("out of fold, corrected, macro AUC", run.name, interval_text(found) if found else "–", less))
        return rows

    def draw(self, file: Path) -> None:
        """Draw the two areas of each run, and what it has over the first run's.

        Raises:
            RunError: If the file can't be written.
        """
        runs = [(run.name, run.metrics) for run in self.runs]
        less = [{name: asdict(limits) for name, limits in each.held_out.items()} for each in self.against]
        try:
            save(draw_comparison(runs, less), file)
        except OSError as error:
            raise RunError(
                expected=f"a file that can be written at {file}", found=str(error.strerror), remedy="Change --plot."
            ) from None

    def cost_rows(self) -> list[tuple[str, str]]:
        """Lines of a table: run, and what its search has cost."""
        costs = [(run.name, run.cost) for run in self.runs]
        return [
            (name, f"{cost['trials']} trials, {cost['epochs']} epochs, {short_duration(cost['seconds'])}")
            for name, cost in costs
        ]

    def sentences(self) -> list[str]:
        """What follows from the differences, and what to beware of."""
        first, found = self.runs[0], []
        whom = f"the same {first.held_out.predictions.n_patients} {'women' if first.is_nested else 'held-out women'}"
        for run, against in zip(self.runs[1:], self.against, strict=True):
            limits = asdict(against.held_out["primary_auc"])
            side, value = side_of(limits), value_of(limits)
            said = f"can't be compared with {first.name}"
            if value is not None:
                worth = {1: f"does better than {first.name}", -1: f"does worse than {first.name}"}
                said = worth.get(side, f"and {first.name} can't be told apart by these data")
            other = f"other women than {first.name}'s ({against.shared_patients} are in both)"
            found.append(f"On {whom if against.paired else other}, {run.name} {said} (AUC of {self._endpoint}).")
        if any(run.manifest.demo for run in self.runs):
            found.append("A demonstration's figures say nothing about mammography.")
        found.append("A run that is chosen by its held-out figures has optimistic ones: choose by those out of fold.")
        return found

    @property
    def _endpoint(self) -> str:
        return str(self.runs[0].metrics["primary_endpoint"])


def compare_runs(directories: Sequence[RunDirectory], *, unpaired: bool = False, seed: int = 0) -> Comparison:
    """Compare complete runs with the first of them.

    Args:
        directories: Their folders, at least two.
        unpaired: Whether runs on other women may be compared, too.
        seed: Of the resamples.

    Raises:
        RunError: If a run is not complete or damaged, or they are not about the same question; if they hold out other
            women, and that was not asked for.
    """
    first, *others = (ComparedRun(directory) for directory in directories)
    return Comparison((first, *others), tuple(_against(run, first, unpaired=unpaired, seed=seed) for run in others))


def _against(run: ComparedRun, first: ComparedRun, *, unpaired: bool, seed: int) -> AgainstFirst:
    _require_one_question(run, first)
    reason = _why_other(run, first)
    # Of other films the same names are other women.
    known = run.held_out.predictions.patient_ids if _same_films(run, first) else ()
    shared = set(known) & set(first.held_out.predictions.patient_ids)
    if reason and not unpaired:
        file = "outer_split.csv" if first.is_nested else "split.csv"
        raise RunError(
            expected=f"runs on the same {'outer folds' if first.is_nested else 'held-out women'} as {first.name}",
            found=f"{run.name}, {reason}",
            remedy=f"Search the same films with --split {first.directory.path / file}, or add --unpaired for wider "
            "intervals.",
        )
    return AgainstFirst(
        paired=not reason,
        shared_patients=len(shared),
        held_out=differences(run.held_out, first.held_out, FIGURES, paired=not reason),
        out_of_fold=None if reason else _out_of_fold(run, first, seed),
    )


def _require_one_question(run: ComparedRun, first: ComparedRun) -> None:
    for what, own, asked in (
        ("classes", run.metrics["class_names"], first.metrics["class_names"]),
        ("endpoint", run.metrics["primary_endpoint"], first.metrics["primary_endpoint"]),
        ("protocol", run.protocol, first.protocol),
    ):
        if own != asked:
            said, wanted = (", ".join(each) if isinstance(each, list) else str(each) for each in (own, asked))
            raise RunError(
                expected=f"runs with {first.name}'s {what}, {wanted}",
                found=f"{run.name}: {said}",
                remedy="Compare runs that answer one question.",
            )


def _why_other(run: ComparedRun, first: ComparedRun) -> str:
    """Why two runs are not about the same held-out images; "" if they are."""
    own, asked = run.held_out, first.held_out
    women, others = set(own.predictions.patient_ids), set(asked.predictions.patient_ids)
    if women != others:
        return f"which holds out {len(women)} women, {len(women & others)} of them among {first.name}'s {len(others)}"
    if not _same_films(run, first):
        return "whose films are other ones under the same names"
    if _cases(own) != _cases(asked):
        return "which has other images or labels of the same women"
    if own.folds is not None and asked.folds is not None and _parts(own) != _parts(asked):
        return "whose outer folds are other ones"
    return ""


def _same_films(run: ComparedRun, first: ComparedRun) -> bool:
    """Whether both have read one data set, as far as the ledger says."""
    return not (run.films and first.films) or run.films == first.films


def _cases(held_out: HeldOut) -> set[tuple[str, str, int]]:
    table = held_out.predictions
    return set(zip(table.image_ids, table.patient_ids, table.labels.tolist(), strict=True))


def _parts(held_out: HeldOut) -> set[frozenset[str]]:
    """The outer folds, whatever their numbers."""
    ids, folds = np.array(held_out.predictions.patient_ids), np.asarray(held_out.folds)
    return {frozenset(ids[folds == fold].tolist()) for fold in np.unique(folds)}


def _out_of_fold(run: ComparedRun, first: ComparedRun, seed: int) -> Interval | None:
    if run.finalists is None or first.finalists is None:
        return None
    own, asked = run.finalists.winner, first.finalists.winner
    if _places(own) != _places(asked):
        return None
    where = {image: row for row, image in enumerate(asked.predictions.image_ids)}
    rows = [where[image] for image in own.predictions.image_ids]
    theirs = first.finalists.probabilities[:, rows]
    cases = own.predictions
    both = run.finalists.probabilities, theirs
    return corrected_difference(cases.labels, both, cases.patient_ids, own.folds, seed=seed)


def _places(table: OutOfFold) -> set[tuple[str, int, int]]:
    """Image, label and fold of each case."""
    cases = table.predictions
    return set(zip(cases.image_ids, cases.labels.tolist(), table.folds.tolist(), strict=True))


def _less(limits: dict[str, Any], *, paired: bool) -> str:
    if value_of(limits) is None:
        return "not defined"
    text = interval_text(limits).split(" ", 1)[1]
    return f"{signed(value_of(limits), 3)} {text}{'' if paired else ', unpaired'}"


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
