"""The report of a run: what it hands to `reports` for figures, TensorBoard and the page.

report.html can be made again from what a run has stored; neither TensorFlow nor the images are needed.
"""

from __future__ import annotations

import datetime
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mammo_data import CaseTable, Finding
from reports import (
    SUMMARY_NAME,
    CaseToSee,
    DataFacts,
    Evaluation,
    HoldoutReading,
    PlannedRung,
    RunSummary,
    SeedScore,
    SplitPart,
    confident_cases,
    read_summary,
    write_evaluation_figures,
    write_figures,
    write_model_card,
    write_report,
    write_search_plots,
    write_summary,
)
from reports.errors import ReportError
from reports.evaluation.subgroups import abnormality
from reports.page.report import render_model_card
from reports.page.tensorboard import write_final, write_trials
from reports.page.words import metric_titles
from reports.search_plots.space import Dimension
from reports.trials import TrialRecord
from search.audit.audit import LeakAudit
from search.cohort import ROI_NOTICE, Cohort
from search.config.reading import load_config
from search.config.writing import to_toml
from search.errors import RunError
from search.files.digests import content_checksum
from search.job import Job
from search.machine.failures import first_line
from search.plan.execution import SearchOutcome
from search.run_folder.directory import RunDirectory
from search.run_folder.extent import run_extent
from search.run_folder.ledger import Reading
from search.run_folder.lifecycle import devices_in_words
from search.run_folder.lock import owned
from search.run_folder.manifest import Manifest
from search.run_folder.metrics import read_metrics
from search.run_folder.trial_log import read_records
from search.trials.data import TrainingSettings

METHODS = {"hyperband": "Hyperband", "random": "random search", "bayesian": "Bayesian optimisation"}
IMBALANCE = {
    "balanced": "each class drawn equally often, in training only",
    "class_weights": "class weights in the loss, from the training patients alone",
    "logit_adjustment": "logit adjustment in the loss, from the training patients alone",
    "none": "nothing",
}


@dataclass(frozen=True)
class RunReport:
    """What a run's pages are made of.

    Attributes:
        job: The run.
        cohort: Who the search was about.
        outcome: What it found.
        settings: What was constant over its trials.
        metrics: The content of metrics.json.
        found: The leak audit.
        genuine: Whether the backbone's weights are the published ones; None where nobody can say.
        search_figures: Gives the search's own figures, by `draw_search`.
    """

    job: Job
    cohort: Cohort
    outcome: SearchOutcome
    settings: TrainingSettings
    metrics: Mapping[str, Any]
    found: LeakAudit
    genuine: bool | None
    search_figures: Callable[[], Mapping[str, Path]]

    def write(
        self, evaluation: Evaluation, overlays: Mapping[str, Path], readings: Sequence[Reading], *, seconds: float
    ) -> None:
        """Write figures/*.png, tensorboard/, model_card.md, summary.json and report.html of a run.

        Args:
            evaluation: Of the held-out patients.
            overlays: Image id to PNG file, of the cases that a reader should look at.
            readings: Of the held-out patients, this one last.
            seconds: Wall time of the run so far.
        """
        directory, predictions = self.job.directory, evaluation.predictions
        figures = write_figures(predictions, self.outcome.winner, directory.figures)
        figures |= write_evaluation_figures(evaluation, directory.figures)
        summary = replace(
            self.summary(figures, seconds=seconds),
            readings=tuple(HoldoutReading(reading.run, reading.time) for reading in readings),
            cases=self._cases_to_see(evaluation, overlays),
        )
        self.write_pages(summary, figures | {f"localisation/{path.stem}": path for path in overlays.values()})

    def write_pages(self, summary: RunSummary, pictures: Mapping[str, Path]) -> None:
        """Write summary.json, report.html, model_card.md and tensorboard/ of a summary."""
        directory = self.job.directory
        write_summary(summary, directory.best)
        write_report(summary, directory.report_file)
        write_model_card(summary, directory.model_card)
        names, note = self.metrics["class_names"], str(summary.extent or "")
        write_trials(self.outcome.records, directory.tensorboard, class_names=names, note=note)
        card = render_model_card(summary, metadata=False)
        held_out = {name: self.metrics.get(name) for name in metric_titles(self.metrics)}
        write_final(dict(pictures), card, directory.tensorboard, metrics=held_out, created=summary.created)

    def summary(self, figures: Mapping[str, Path], *, seconds: float) -> RunSummary:
        """Gather what the page prints."""
        job, split, prepared = self.job, self.cohort.split, self.cohort.prepared
        config, directory, table, manifest = job.config, job.directory, prepared.table, job.directory.read_manifest()
        sides = {"development": split.development_rows(table), "held out": split.test_rows(table)}
        return RunSummary(
            name=directory.name,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            command=shlex.join(["mammo-search", *manifest.argv]),
            config_toml=to_toml(config),
            data=DataFacts(
                source="synthetic phantom" if job.demo else str(config.data.path),
                images=len(table),
                patients=len(set(table.patient_ids)),
                class_counts=_class_counts(table),
                findings=sum(len(case.findings) for case in table.cases),
                unlocated=len(prepared.unlocatable),
                image_size=config.preparation.image_size,
                notes=self._notes(manifest),
            ),
            splits=tuple(split_part(name, table.take(rows)) for name, rows in sides.items()),
            plan=tuple(
                PlannedRung(bracket_position, rung_position, rung.trials, rung.initial_epoch, rung.epochs)
                for bracket_position, bracket in enumerate(job.plan.brackets)
                for rung_position, rung in enumerate(bracket.rungs)
            ),
            trials=self.outcome.records,
            metrics=self.metrics,
            figures=figures,
            search_figures=dict(self.search_figures()),
            is_demo=job.demo,
            mode=config.data.mode,
            method=METHODS[config.search.tuner],
            audit=self.found.answers(),
            permutation=self.found.permutation_result(),
            training=self._training(manifest),
            imbalance=IMBALANCE[self.settings.minority],
            weights_provenance=manifest.weights,
            weights_genuine=False if config.backbone.weights == "random" else self.genuine,
            backbone=config.backbone.name,
            versions=manifest.versions,
            fingerprints=manifest.fingerprints,
            seeds=manifest.seeds,
            seed_spread=_seed_spread(self.metrics),
            holdout_readings=self.metrics["holdout_readings"],
            optimizer_steps=self.outcome.winner.objective_epoch * self.settings.steps_per_epoch,
            model_file=directory.model_file.name,
            device=devices_in_words(manifest),
            precision=f"{manifest.precision.name} ({manifest.precision.reason})" if manifest.precision.name else "",
            bank=manifest.bank,
            seconds=seconds,
            extent=run_extent(directory, search_ended=True),
        )

    def _cases_to_see(self, evaluation: Evaluation, overlays: Mapping[str, Path]) -> tuple[CaseToSee, ...]:
        by_id = {case.image_id: case for case in self.cohort.prepared.table.cases}
        cases = []
        for confident in confident_cases(evaluation.predictions):
            case, overlay = by_id[confident.image_id], overlays.get(confident.image_id)
            cases.append(
                CaseToSee(
                    confident,
                    tissue=case.tissue,
                    findings=", ".join(map(_in_words, case.findings)),
                    overlay=overlay.relative_to(self.job.directory.best).as_posix() if overlay else "",
                    picture=overlay if self.job.config.report.embed_images else None,
                )
            )
        return tuple(cases)

    def _training(self, manifest: Manifest) -> str:
        settings, config = self.settings, self.job.config
        views = "/".join(map(str, manifest.views_per_class or ()))
        return (
            f"{config.search.optimizer}, batches of {settings.batch_size}, {settings.steps_per_epoch} steps an epoch, "
            f"schedule {settings.schedule}, cross-entropy with L2 and dropout; augmentation of training images at "
            f"strength {config.augmentation.strength:g}"
            + (f", {views} stored views of an image by class" if views else "")
        )

    def _notes(self, manifest: Manifest) -> tuple[str, ...]:
        """What a reader of the counts has to know."""
        missing, outer, roi = ", ".join(self.cohort.prepared.unlocatable), manifest.outer, self.job.config.roi
        notes = [f"Outer fold {outer.fold} of {outer.folds} of the nested run {outer.run}."] if outer else []
        if self.job.config.data.mode == "whole":
            return (*notes, *((f"A finding of {missing} can't be located.",) if missing else ()))
        return (
            *notes,
            f"Crops of {roi.window} pixels of 0.2 mm, the same for every class, counted as images here; {ROI_NOTICE}.",
            "Normal crops lie where the development patients' lesions lie, in breast-relative coordinates; they come "
            + (
                "from women without any finding only."
                if roi.strict_normals
                else "from affected women's other breasts, too."
            ),
            *((f"No crop of a finding that can't be located: {missing}.",) if missing else ()),
        )


def draw_search(records: Sequence[TrialRecord], dimensions: Sequence[Dimension], figures: Path) -> dict[str, Path]:
    """Draw the figures of a search, those of one budget for the largest alone.

    ``mammo-search trials --plot`` draws all.

    Args:
        records: All trials.
        dimensions: The space.
        figures: The run's folder of figures.

    Returns:
        Name to PNG file.
    """
    return write_search_plots(records, dimensions, figures / "search")


def _in_words(finding: Finding) -> str:
    kind = f"{abnormality(finding.abnormality or 'finding')} ({finding.severity})"
    if finding.film_radius is None:
        return f"{kind}, not located"
    return f"{kind}, radius {finding.film_radius:.0f} px"


def _seed_spread(metrics: Mapping[str, Any]) -> tuple[SeedScore, ...]:
    """Scores of the final seeds; none in a nested run, which has nobody left to score its final model on."""
    scores = metrics.get("final_seeds") or {"primary_auc": (), "macro_ovr_auc": ()}
    pairs = zip(scores["primary_auc"], scores["macro_ovr_auc"], strict=True)
    return tuple(SeedScore(number, *pair, exported=number == 0) for number, pair in enumerate(pairs))


def split_part(name: str, table: CaseTable) -> SplitPart:
    """Patients and images of one side of a split."""
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
        ReportError: If what the page is made of is not there, or not as a run writes it.
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
    config, outputs = load_config(run.check_output(run.config_file)), run.read_manifest().outputs
    with owned(run.path):
        summary = read_summary(
            run.best,
            trials=read_records(run.check_output(run.trials_file)),
            metrics=read_metrics(run),
            config_toml=run.config_file.read_text(encoding="utf-8"),
            embed_images=embed_images or config.report.embed_images,
            checksums=outputs,
        )
        # A run of an older version has it in its folder alone.
        summary = replace(summary, extent=summary.extent or run_extent(run))
        try:
            write_report(summary, run.report_file)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001  # the page stumbles over whatever stands in a wrong place
            raise ReportError(
                expected=f"what the report is made of in {run.best}",
                found=first_line(error),
                remedy="Restore metrics.json and summary.json, or read the report.html that is there.",
            ) from None
        # The manifest has the checksum of every output; without its new one the page would pass for a damaged file.
        if outputs:
            run.update_manifest(outputs=outputs | {run.report_file.name: content_checksum(run.report_file)})
    return run.report_file
