"""The comparison of complete runs with the first of them.

Differences are paired where the runs hold out the same images of the same patients; other women are compared only when
asked to, with the wider intervals of two samples. Predictions and metrics are the runs' own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reports import Interval
from reports.evaluation.bbc_cv import corrected_difference
from reports.evaluation.comparison import HeldOut, differences
from search.errors import RunError
from search.final.comparison.answer import AgainstFirst, Comparison
from search.final.comparison.runs import FIGURES, ComparedRun
from search.run_folder.directory import RunDirectory
from search.trials.out_of_fold import OutOfFold


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
