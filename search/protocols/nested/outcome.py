"""The end of a nested run: the outer predictions together, their metrics, the report, and the result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from mammo_data import Split
from reports import AuditResult, Evaluation, OuterFold, evaluate_nested, write_nested_figures
from reports.evaluation.nested import nested_baselines
from search.audit.audit import LeakAudit, audit
from search.audit.shortcuts import Probe
from search.cohort import Cohort
from search.export.describe import write_run_metadata
from search.files.atomic import write_atomic
from search.final.final_model import NestedModel
from search.final.finalists import read_finalists
from search.final.finish import kept_probes
from search.final.held_out import case_attributes, radius_cuts, read_under_other_splits, write_predictions
from search.final.kept import FinalStore, as_json
from search.final.report import RunReport, draw_search, split_part
from search.final.retrain import Searched
from search.job import Job
from search.plan.execution import SearchOutcome
from search.plan.space import recorded_dimensions
from search.protocols.nested.outer import OuterPredictions, outer_predictions, read_outer
from search.run_folder.extent import run_extent
from search.run_folder.lifecycle import complete
from search.screen.progress import RunProgress


def finish_nested(
    job: Job,
    everyone: Cohort,
    outer: Split,
    searched: Searched,
    store: FinalStore,
    progress: RunProgress,
    *,
    clock: float,
    probes: Callable[[], tuple[Probe, ...]] | None,
) -> NestedModel:
    """Join what the outer searches left, and write metrics, predictions, audit and report.

    Args:
        job: The nested run, its last model exported.
        everyone: All patients.
        outer: The outer folds.
        searched: The search on all patients.
        store: Keeps the audit.
        progress: Shows what goes on.
        clock: ``time.perf_counter()`` when the run started.
        probes: Gives the shortcut probe, where it is shared with the outer searches.

    Raises:
        RunError: If a finished outer search lacks a file.
    """
    directory, outcome = job.directory, searched.outcome
    directories = [directory.outer(fold) for fold in range(len(outer.folds))]
    with progress.station("evaluate"):
        folds = tuple(read_outer(each, number) for number, each in enumerate(directories, start=1))
        predictions = outer_predictions(directories)
        evaluation = _evaluation(job, everyone, outcome, folds, predictions)
    tables = {"predictions": predictions.exported, "predictions_corrected": predictions.corrected}
    write_predictions(directory, tables, outer_folds=predictions.fold_of_case.tolist())
    write_atomic(directory.best / "metrics.json", json.dumps(evaluation.metrics, indent=2, allow_nan=False) + "\n")
    write_run_metadata(directory, everyone.prepared, everyone.split)
    with progress.station("report"):
        figures = write_nested_figures(evaluation, folds, predictions.fold_of_case, outcome.winner, directory.figures)
        found = store.kept("audit", as_json(LeakAudit), partial(_audit, everyone, outer, searched, store, probes))
        # The answer to "is any patient on two sides?" of each outer search, from its own audit.
        audits = [each.check_output(each.audit_file) for each in directories]
        overlaps = [json.loads(each.read_text(encoding="utf-8"))["overlap"] for each in audits]
        content = found.as_dict() | {"outer_overlap": overlaps}
        write_atomic(directory.audit_file, json.dumps(content, indent=2, allow_nan=False) + "\n")
        genuine = searched.backbone.weights.genuine
        dimensions = recorded_dimensions(directory.read_manifest().settings)
        drawn = partial(draw_search, outcome.records, dimensions, directory.figures)
        report = RunReport(job, everyone, outcome, searched.settings, evaluation.metrics, found, genuine, drawn)
        table = everyone.prepared.table
        summary = replace(
            report.summary(figures, seconds=time.perf_counter() - clock),
            protocol="nested",
            splits=tuple(
                split_part(f"outer fold {fold + 1}", table.take(outer.fold_rows(table, fold)[1]))
                for fold in range(len(folds))
            ),
            audit=_answers(found, overlaps),
            outer_folds=folds,
        )
        report.write_pages(summary, figures)
    complete(directory)
    store.forget()
    return NestedModel(directory, job.demo, dict(evaluation.metrics), outcome, run_extent(directory))


def _audit(
    everyone: Cohort,
    outer: Split,
    searched: Searched,
    store: FinalStore,
    probes: Callable[[], tuple[Probe, ...]] | None,
) -> LeakAudit:
    features, probes = searched.pooled_features(), probes or partial(kept_probes, store, everyone, outer.seed)
    return audit(everyone.films, everyone.prepared, outer, features=features, probes=probes, seed=outer.seed)


def estimates(folds: int) -> str:
    """What nested figures are figures of, in a sentence."""
    return (
        f"This estimates the procedure (search, choice, retraining) on {folds - 1}/{folds} of the patients; the model "
        "itself is trained on all of them and has not been evaluated."
    )


def _evaluation(
    job: Job, everyone: Cohort, outcome: SearchOutcome, folds: Sequence[OuterFold], predictions: OuterPredictions
) -> Evaluation:
    """The outer predictions' evaluation; its metrics are the content of the nested metrics.json."""
    seed, table = job.config.split.seed, everyone.prepared.table
    evaluation = evaluate_nested(
        predictions.exported,
        predictions.corrected,
        predictions.fold_of_case,
        [fold.metrics for fold in folds],
        attributes=case_attributes(table),
        radius_cuts=radius_cuts(table),
    )
    metrics = dict(evaluation.metrics)
    for entry, fold in zip(metrics["outer_folds"], folds, strict=True):
        entry["configuration"] = fold.winner.hyperparameters
        entry["selected_objective"] = fold.winner.objective
        entry["holdout_readings"] = fold.readings
    finalists = read_finalists(job.directory.path / "oof", outcome.records, table.class_names)
    metrics["selection"] = asdict(finalists.corrected(seed=seed)[-1][1])
    metrics |= finalists.about()
    metrics["convergence"]["outer_searches"] = _outer_convergence(folds)
    if predictions.baselines:
        own = [fold.metrics for fold in folds]
        metrics["baselines"] = nested_baselines(
            predictions.exported, predictions.baselines, predictions.fold_of_case, own
        )
    metrics |= {
        "protocol": "nested",
        "mode": job.config.data.mode,
        "estimates": estimates(len(folds)),
        "holdout_readings": max(fold.readings for fold in folds),
        "other_splits": asdict(read_under_other_splits(job.directory, everyone)),
    }
    return replace(evaluation, metrics=metrics)


def _outer_convergence(folds: Sequence[OuterFold]) -> dict[str, int]:
    """How many outer winners have converged, have not, or had too few epochs or folds to tell."""
    found = [fold.metrics.get("convergence", {}).get("converged") for fold in folds]
    return {
        "converged": found.count(True),
        "not_converged": found.count(False),
        "not_told": found.count(None),
    }


def _answers(found: LeakAudit, overlaps: Sequence[Mapping[str, Any]]) -> dict[str, AuditResult]:
    answers = found.answers()
    question, own = next(iter(answers.items()))
    shared = [entry for overlap in overlaps for entry in overlap["shared"]]
    if own.passed and not shared:
        compared = found.compared + sum(overlap["compared"] for overlap in overlaps)
        answers[question] = AuditResult(True, f"none, in {compared} pairs of sides of {len(overlaps)} outer folds")
    elif shared:
        text = "; ".join(f"{' and '.join(entry['sides'])} share {', '.join(entry['patients'])}" for entry in shared)
        answers[question] = AuditResult(False, f"in outer searches: {text}")
    return answers
