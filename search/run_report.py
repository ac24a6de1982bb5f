"""What a finished run hands to the reports: figures, TensorBoard events, and the page."""

from __future__ import annotations

import datetime
import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mammo_data.catalog import CaseTable
from reports.evaluation import Evaluation
from reports.figures import write_evaluation_figures, write_figures
from reports.html import write_report
from reports.run_summary import DataFacts, PlannedRung, RunSummary, SeedScore, SplitPart
from reports.tensorboard import write_trials
from search.config_toml import to_toml
from search.job_data import ROI_NOTICE

if TYPE_CHECKING:
    from search.final_stage import FinalStage
    from search.leak_audit import LeakAudit


def write_run_report(
    stage: FinalStage, evaluation: Evaluation, metrics: Mapping[str, Any], found: LeakAudit, *, seconds: float
) -> None:
    """Write figures/*.png, tensorboard/ and report.html of a run.

    Args:
        stage: What the run is made of.
        evaluation: Of the held-out patients.
        metrics: The content of metrics.json.
        found: The leak audit.
        seconds: Wall time of the run so far.
    """
    directory = stage.directory
    predictions = evaluation.predictions
    figures = write_figures(predictions, stage.outcome.winner, directory.figures)
    figures |= write_evaluation_figures(evaluation, directory.figures)
    write_trials(stage.outcome.records, directory.tensorboard, class_names=predictions.class_names)
    write_report(run_summary(stage, metrics, figures, found, seconds=seconds), directory.report_file)


def run_summary(
    stage: FinalStage,
    metrics: Mapping[str, Any],
    figures: Mapping[str, Path],
    found: LeakAudit,
    *,
    seconds: float,
) -> RunSummary:
    """Gather what the page prints."""
    table, split, manifest = stage.prepared.table, stage.split, stage.manifest
    test, development = table.take(split.test_rows(table)), table.take(split.development_rows(table))
    return RunSummary(
        name=stage.directory.name,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=shlex.join(["mammo-search", *manifest["argv"]]),
        config_toml=to_toml(stage.config),
        data=DataFacts(
            source="synthetic phantom" if stage.demo else str(stage.config.data.path),
            images=len(table),
            patients=len(set(table.patient_ids)),
            class_counts=_class_counts(table),
            findings=sum(len(case.findings) for case in table.cases),
            unlocated=len(stage.prepared.unlocatable),
            image_size=stage.config.preparation.image_size,
            notes=_notes(stage),
        ),
        splits=(_part("development", development), _part("held out", test)),
        plan=tuple(
            PlannedRung(bracket_position, rung_position, rung.runs, rung.initial_epoch, rung.epochs)
            for bracket_position, bracket in enumerate(stage.plan.brackets)
            for rung_position, rung in enumerate(bracket.rungs)
        ),
        trials=stage.outcome.records,
        metrics=metrics,
        figures=figures,
        is_demo=stage.demo,
        mode=stage.config.data.mode,
        audit=found.answers(),
        permutation=found.permutation_result(),
        weights_provenance=stage.weights.provenance,
        weights_genuine=stage.weights.genuine,
        backbone=stage.config.backbone.name,
        versions=manifest["versions"],
        fingerprints=manifest["fingerprints"],
        seeds=manifest["seeds"],
        seed_spread=tuple(
            SeedScore(number, primary, macro, exported=number == 0)
            for number, (primary, macro) in enumerate(
                zip(metrics["final_seeds"]["primary_auc"], metrics["final_seeds"]["macro_ovr_auc"], strict=True)
            )
        ),
        holdout_readings=metrics["holdout_readings"],
        optimizer_steps=(stage.outcome.winner.best_epoch or 0) * stage.settings.steps_per_epoch,
        model_file=stage.directory.model_file.name,
        device=manifest["device"],
        seconds=seconds,
    )


def _notes(stage: FinalStage) -> tuple[str, ...]:
    """What a reader of the counts has to know."""
    missing = ", ".join(stage.prepared.unlocatable)
    if stage.config.data.mode == "whole":
        return (f"A finding of {missing} can't be located.",) if missing else ()
    roi = stage.config.roi
    return (
        f"Crops of {roi.window} pixels of 0.2 mm, the same for every class, counted as images here; {ROI_NOTICE}.",
        "Normal crops lie where the development patients' lesions lie, in breast-relative coordinates; they come from "
        + ("women without any finding only." if roi.strict_normals else "affected women's other breasts, too."),
        *((f"No crop of a finding that can't be located: {missing}.",) if missing else ()),
    )


def _part(name: str, table: CaseTable) -> SplitPart:
    return SplitPart(name, patients=len(set(table.patient_ids)), class_counts=_class_counts(table))


def _class_counts(table: CaseTable) -> dict[str, int]:
    counts = Counter(case.label for case in table.cases)
    return {name: counts[name] for name in table.class_names}
