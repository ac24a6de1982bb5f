"""The end of a nested run: the outer predictions together, their metrics, the report, and the result."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mammo_data.splits import Split
from reports.evaluation.evaluate import Evaluation
from reports.evaluation.nested import OuterFold, evaluate_nested
from search.cohort import NOTICE, ROI_NOTICE
from search.export.describe import write_run_metadata
from search.files.atomic import replacing, write_atomic
from search.final.held_out import case_attributes, radius_cuts, selection_correction
from search.final.stage import FinalModel, FinalStage
from search.protocols.nested.outer import OuterPredictions, _join, _read_outer
from search.protocols.nested.report import write_nested_report
from search.run_folder.cut_short import cut_short
from search.run_folder.lifecycle import complete
from search.screen.progress import RunProgress


@dataclass(frozen=True)
class NestedModel(FinalModel):
    """The result of a nested run.

    Attributes:
        directory: The run's folder.
        demo: Whether it is a demonstration.
        metrics: Means over the outer folds, each measured on patients that its search had not seen.
        outcome: What the search on all patients found.
        cut_short: How far the searches came that the time limit ended, or None.
    """

    def as_json(self) -> dict[str, Any]:
        """The answer as a JSON-able dict."""
        return super().as_json() | {"protocol": "nested", "estimates": self.metrics["estimates"]}

    def as_text(self) -> str:
        """The answer as lines of text."""
        metrics, winner = self.metrics, self.outcome.winner
        folds, worst = len(metrics["outer_folds"]), metrics["class_names"][-1]
        roi = metrics["mode"] == "roi"
        lines = [NOTICE] if self.demo else []
        if roi:
            lines.append(f"task                {ROI_NOTICE}")
        if self.cut_short:
            lines.append(f"search cut short    {self.cut_short}")
        lines += [
            f"nested estimate     {metrics['primary_endpoint']}: AUC {_words(metrics['primary_auc'])}, mean over "
            f"{folds} outer folds with {metrics['class_counts'][worst]} {worst} among {metrics['n']} "
            f"{'crops' if roi else 'images'}; macro AUC {_words(metrics['macro_ovr_auc'])}",
            f"                    {metrics['estimates']}",
            *(f"                    {note}" for note in metrics["notes"]),
            "final configuration " + "  ".join(f"{name} {value:g}" for name, value in winner.hyperparameters.items()),
            f"cross-validated     macro AUC {winner.objective:.3f} at epoch {winner.best_epoch} (selected, optimistic)",
            f"model               {self.directory.model_file}",
            f"report              {self.directory.report_file}",
        ]
        return "\n".join(lines)


def finish_nested(stage: FinalStage, outer: Split, progress: RunProgress) -> NestedModel:
    """Join what the outer searches left, and write metrics, predictions, audit and report.

    Args:
        stage: Of the search on all patients, its model exported.
        outer: The outer folds.
        progress: Shows what goes on.

    Raises:
        RunError: If a finished outer search lacks a file.
    """
    directory = stage.directory
    directories = [directory.outer(fold) for fold in range(len(outer.folds))]
    with progress.station("evaluate"):
        folds = tuple(_read_outer(each, number) for number, each in enumerate(directories, start=1))
        predictions = _join(directories)
        evaluation = _evaluation(stage, folds, predictions)
        metrics = dict(evaluation.metrics)
    for table, name in ((predictions.exported, "predictions"), (predictions.corrected, "predictions_corrected")):
        if table is not None:
            with replacing(directory.best / f"{name}.csv") as temporary:
                table.write_csv(temporary, outer_folds=predictions.fold_of_case.tolist())
    write_atomic(directory.best / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    write_run_metadata(directory, stage.prepared, stage.split)
    with progress.station("report"):
        write_nested_report(stage, outer, folds, predictions, evaluation, seconds=time.perf_counter() - stage.clock)
    complete(directory, stage.manifest)
    return NestedModel(directory, stage.demo, metrics, stage.outcome, cut_short(directory))


def estimates(folds: int) -> str:
    """What nested figures are figures of, in a sentence."""
    return (
        f"This estimates the procedure (search, choice, retraining) on {folds - 1}/{folds} of the patients; the model "
        "itself is trained on all of them and has not been evaluated."
    )


def _evaluation(stage: FinalStage, folds: Sequence[OuterFold], predictions: OuterPredictions) -> Evaluation:
    """The outer predictions' evaluation; its metrics are the content of the nested metrics.json."""
    seed = stage.config.split.seed
    table = stage.prepared.table
    evaluation = evaluate_nested(
        predictions.exported,
        predictions.corrected,
        predictions.fold_of_case,
        [fold.metrics for fold in folds],
        attributes=case_attributes(table),
        radius_cuts=radius_cuts(table),
        seed=seed,
    )
    metrics = dict(evaluation.metrics)
    for entry, fold in zip(metrics["outer_folds"], folds, strict=True):
        entry["configuration"] = fold.winner.hyperparameters
        entry["selected_objective"] = fold.winner.objective
        entry["holdout_readings"] = fold.readings
    selection = selection_correction(stage.directory.path / "oof", stage.outcome.records, seed=seed)
    if selection is not None:
        metrics["selection"] = selection.as_dict()
    metrics["protocol"] = "nested"
    metrics["mode"] = stage.config.data.mode
    metrics["estimates"] = estimates(len(folds))
    metrics["holdout_readings"] = max(fold.readings for fold in folds)
    return replace(evaluation, metrics=metrics)


def _words(metric: dict[str, Any]) -> str:
    if metric["value"] is None:
        return "not defined"
    if metric["lower"] is None:
        return f"{metric['value']:.3f}"
    return f"{metric['value']:.3f} [{metric['lower']:.3f}, {metric['upper']:.3f}]"
