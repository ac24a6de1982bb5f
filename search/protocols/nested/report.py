"""What a nested run hands to the reports: figures, TensorBoard events, the audit, and the page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mammo_data.splits import Split
from reports.evaluation.evaluate import Evaluation
from reports.evaluation.nested import OuterFold
from reports.figures.write import write_nested_figures
from reports.page.report import write_model_card, write_report
from reports.page.run_summary import AuditResult, SplitPart
from reports.page.summary_file import write_summary
from reports.page.tensorboard import write_final, write_trials
from search.audit.audit import LeakAudit, audit
from search.boundary.pooled import pooled_features
from search.files.atomic import write_atomic
from search.final.report import run_summary

if TYPE_CHECKING:
    from search.final.stage import FinalStage
    from search.protocols.nested.outer import OuterPredictions


def write_nested_report(
    stage: FinalStage,
    outer: Split,
    folds: Sequence[OuterFold],
    predictions: OuterPredictions,
    evaluation: Evaluation,
    *,
    seconds: float,
) -> None:
    """Write figures/*.png, tensorboard/, audit.json, model_card.md and report.html of a nested run.

    Args:
        stage: Of the search on all patients.
        outer: The outer folds.
        folds: What each outer search has left.
        predictions: The outer predictions.
        evaluation: Of the outer predictions.
        seconds: Wall time of this part of the run.
    """
    directory, metrics = stage.directory, evaluation.metrics
    figures = write_nested_figures(evaluation, folds, predictions.fold_of_case, stage.outcome.winner, directory.figures)
    found = audit(
        stage.films,
        stage.prepared,
        outer,
        features=pooled_features(stage.data, stage.architecture, stage.weights),
        probes=stage.probes,
        seed=outer.seed,
    )
    overlaps = _overlaps(stage, len(folds))
    write_atomic(
        directory.audit_file,
        json.dumps(found.as_dict() | {"outer_overlap": overlaps}, indent=2, allow_nan=False) + "\n",
    )
    summary = run_summary(stage, metrics, figures, found, seconds=seconds)
    summary = replace(
        summary,
        protocol="nested",
        splits=_parts(stage, outer),
        audit=_answers(found, overlaps),
        outer_folds=tuple(folds),
    )
    write_summary(summary, directory.best)
    write_report(summary, directory.report_file)
    card = write_model_card(summary, directory.model_card)
    write_trials(stage.outcome.records, directory.tensorboard, class_names=metrics["class_names"])
    write_final(figures, card.read_text(encoding="utf-8"), directory.tensorboard, created=summary.created)


def _overlaps(stage: FinalStage, folds: int) -> list[dict[str, Any]]:
    """The answer to "is any patient on two sides?" of each outer search, from its own audit.json."""
    return [
        json.loads(outer.check_output(outer.audit_file).read_text(encoding="utf-8"))["overlap"]
        for outer in map(stage.directory.outer, range(folds))
    ]


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


def _parts(stage: FinalStage, outer: Split) -> tuple[SplitPart, ...]:
    table = stage.prepared.table
    parts = []
    for fold in range(len(outer.folds)):
        cases = table.take(outer.fold_rows(table, fold)[1])
        counts = Counter(case.label for case in cases.cases)
        parts.append(
            SplitPart(
                f"outer fold {fold + 1}",
                patients=len(set(cases.patient_ids)),
                class_counts={name: counts[name] for name in table.class_names},
            )
        )
    return tuple(parts)
