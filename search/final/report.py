"""What a finished run hands to the reports: figures, TensorBoard events, and the page.

report.html again, from what a run has stored; neither TensorFlow nor the images are needed.
"""

from __future__ import annotations

import datetime
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mammo_data.cases import CaseTable, Finding
from reports.evaluation.confident_cases import confident_cases
from reports.evaluation.evaluate import Evaluation
from reports.evaluation.subgroups import abnormality
from reports.figures.write import write_evaluation_figures, write_figures
from reports.page.report import write_model_card, write_report
from reports.page.run_summary import CaseToSee, DataFacts, HoldoutReading, PlannedRung, RunSummary, SeedScore, SplitPart
from reports.page.summary_file import SUMMARY_NAME, read_summary, write_summary
from reports.page.tensorboard import write_final, write_trials
from reports.search_plots.optuna_study import has_optuna
from reports.search_plots.plots import write_optuna_plots, write_plain_plots
from search.cohort import ROI_NOTICE
from search.config.reading import load_config
from search.config.writing import to_toml
from search.errors import RunError
from search.export.describe import read_metrics
from search.files.digests import content_checksum
from search.plan.space import recorded_dimensions
from search.run_folder.directory import RunDirectory
from search.run_folder.lock import owned
from search.run_folder.trial_log import read_records

if TYPE_CHECKING:
    from search.audit.audit import LeakAudit
    from search.final.stage import FinalStage
    from search.run_folder.ledger import Reading


IMBALANCE = {
    "balanced": "each class drawn equally often, in training only",
    "class_weights": "class weights in the loss, from the training patients alone",
    "logit_adjustment": "logit adjustment in the loss, from the training patients alone",
    "none": "nothing",
}


def write_run_report(
    stage: FinalStage,
    evaluation: Evaluation,
    metrics: Mapping[str, Any],
    found: LeakAudit,
    overlays: Mapping[str, Path],
    *,
    readings: Sequence[Reading],
    seconds: float,
) -> None:
    """Write figures/*.png, tensorboard/, model_card.md, summary.json and report.html of a run.

    Args:
        stage: What the run is made of.
        evaluation: Of the held-out patients.
        metrics: The content of metrics.json.
        found: The leak audit.
        overlays: Image id to PNG file, of the cases that a reader should look at.
        readings: Of the held-out patients, this one last.
        seconds: Wall time of the run so far.
    """
    directory = stage.directory
    predictions = evaluation.predictions
    figures = write_figures(predictions, stage.outcome.winner, directory.figures)
    figures |= write_evaluation_figures(evaluation, directory.figures)
    summary = replace(
        run_summary(stage, metrics, figures, found, seconds=seconds),
        readings=tuple(HoldoutReading(reading.run, reading.time) for reading in readings),
        cases=_cases_to_see(stage, evaluation, overlays),
    )
    write_summary(summary, directory.best)
    write_report(summary, directory.report_file)
    card = write_model_card(summary, directory.model_card)
    write_trials(stage.outcome.records, directory.tensorboard, class_names=predictions.class_names)
    pictures = {f"localisation/{path.stem}": path for path in overlays.values()}
    write_final(
        {**figures, **pictures}, card.read_text(encoding="utf-8"), directory.tensorboard, created=summary.created
    )


def run_summary(
    stage: FinalStage,
    metrics: Mapping[str, Any],
    figures: Mapping[str, Path],
    found: LeakAudit,
    *,
    seconds: float,
) -> RunSummary:
    """Gather what the page prints; the search's own figures are drawn for it."""
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
        search_figures=_search_figures(stage),
        is_demo=stage.demo,
        mode=stage.config.data.mode,
        audit=found.answers(),
        permutation=found.permutation_result(),
        training=_training(stage),
        imbalance=IMBALANCE[stage.settings.minority],
        weights_provenance=stage.weights.provenance,
        weights_genuine=False if stage.config.backbone.weights == "random" else stage.weights.genuine,
        backbone=stage.config.backbone.name,
        versions=manifest["versions"],
        fingerprints=manifest["fingerprints"],
        seeds=manifest["seeds"],
        seed_spread=_seed_spread(metrics),
        holdout_readings=metrics["holdout_readings"],
        optimizer_steps=(stage.outcome.winner.best_epoch or 0) * stage.settings.steps_per_epoch,
        model_file=stage.directory.model_file.name,
        device=manifest["device"],
        seconds=seconds,
    )


def _search_figures(stage: FinalStage) -> dict[str, Path]:
    """Of the largest budget alone; `mammo-search trials --plot` draws all. Without optuna, fewer kinds of them."""
    records, directory = stage.outcome.records, stage.directory.figures / "search"
    figures = write_plain_plots(records, directory)
    if has_optuna():
        figures |= write_optuna_plots(records, recorded_dimensions(stage.manifest["settings"]), directory)
    return figures


def _cases_to_see(stage: FinalStage, evaluation: Evaluation, overlays: Mapping[str, Path]) -> tuple[CaseToSee, ...]:
    by_id = {case.image_id: case for case in stage.prepared.table.cases}
    cases = []
    for confident in confident_cases(evaluation.predictions):
        case, overlay = by_id[confident.image_id], overlays.get(confident.image_id)
        cases.append(
            CaseToSee(
                confident,
                tissue=case.tissue,
                findings=", ".join(map(_in_words, case.findings)),
                overlay=overlay.relative_to(stage.directory.best).as_posix() if overlay else "",
                picture=overlay if stage.config.report.embed_images else None,
            )
        )
    return tuple(cases)


def _in_words(finding: Finding) -> str:
    kind = f"{abnormality(finding.abnormality or 'finding')} ({finding.severity})"
    if finding.film_radius is None:
        return f"{kind}, not located"
    return f"{kind}, radius {finding.film_radius:.0f} px"


def _seed_spread(metrics: Mapping[str, Any]) -> tuple[SeedScore, ...]:
    """Scores of the final seeds; none in a nested run, which has nobody left to score its final model on."""
    scores = metrics.get("final_seeds")
    if not scores:
        return ()
    pairs = zip(scores["primary_auc"], scores["macro_ovr_auc"], strict=True)
    return tuple(
        SeedScore(number, primary, macro, exported=number == 0) for number, (primary, macro) in enumerate(pairs)
    )


def _training(stage: FinalStage) -> str:
    settings, search, augmentation = stage.settings, stage.config.search, stage.config.augmentation
    views = "/".join(str(count) for count in stage.manifest.get("views_per_class") or ())
    return (
        f"{search.optimizer}, batches of {settings.batch_size}, {settings.steps_per_epoch} steps an epoch, schedule "
        f"{settings.schedule}, cross-entropy with L2 and dropout; augmentation of training images at strength "
        f"{augmentation.strength:g}" + (f", {views} stored views of an image by class" if views else "")
    )


def _notes(stage: FinalStage) -> tuple[str, ...]:
    """What a reader of the counts has to know."""
    missing = ", ".join(stage.prepared.unlocatable)
    outer = stage.manifest.get("outer")
    part = (f"Outer fold {outer['fold']} of {outer['folds']} of the nested run {outer['run']}.",) if outer else ()
    if stage.config.data.mode == "whole":
        return (*part, *((f"A finding of {missing} can't be located.",) if missing else ()))
    roi = stage.config.roi
    return (
        *part,
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


def write_report_again(run: RunDirectory, *, embed_images: bool = False) -> Path:
    """Make report.html of a complete run again.

    Args:
        run: The run.
        embed_images: Put pictures of held-out images into it; also where the run's configuration says so.

    Returns:
        The file.

    Raises:
        RunError: If the run is not complete, another process works in it, or a file has changed since.
        ReportError: If what the page is made of is not there.
    """
    if not run.is_complete:
        raise RunError(
            expected="a run that is finished",
            found=f"{run.path}, which is not",
            remedy="See what it is doing with `mammo-search status`; its report is written at the end.",
        )
    for name in (SUMMARY_NAME, "metrics.json"):
        if (run.best / name).is_file():
            run.check_output(run.best / name)
    config = load_config(run.check_output(run.config_file))
    with owned(run.path):
        summary = read_summary(
            run.best,
            trials=read_records(run.check_output(run.trials_file)),
            metrics=read_metrics(run),
            config_toml=run.config_file.read_text(encoding="utf-8"),
            embed_images=embed_images or config.report.embed_images,
        )
        write_report(summary, run.report_file)
        # The manifest has the checksum of every output; without its new one the page would pass for a damaged file.
        manifest = run.read_manifest()
        if "outputs" in manifest:
            run.write_manifest(
                manifest | {"outputs": manifest["outputs"] | {run.report_file.name: content_checksum(run.report_file)}}
            )
    return run.report_file
