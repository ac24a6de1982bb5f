"""The evaluation of an exported model on labelled images, with intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from reports import Predictions, evaluate_fixed, readings_text
from reports.page.words import metric_titles
from search.cohort import cache_for
from search.errors import InterruptionError
from search.export.metadata import RESEARCH_USE, ModelFile
from search.export.model import BATCH, ExportedModel
from search.predict.labelled import LabelledImages, external_images, held_out_images
from search.run_folder.ledger import OtherSplits, other_splits, readings, record_evaluation
from search.screen.progress import RunProgress
from search.text import interval_text


@dataclass(frozen=True)
class ModelEvaluation:
    """What was found.

    Attributes:
        model: The .keras file.
        data: Who it was evaluated on, in words.
        demo: Whether the model is a demonstration's.
        holdout_readings: How often the run's held-out patients have been read; None for an external set.
        other_splits: Readings of the same data set under other splits; None for an external set.
        counted: Whether this time is one of them: not where the same model has read them before.
        left_out_patients: External patients that were left out.
        metrics: As `reports.evaluation.evaluate.evaluate_fixed` returns it.
    """

    model: Path
    data: str
    demo: bool
    holdout_readings: int | None
    other_splits: OtherSplits | None
    counted: bool
    left_out_patients: int
    metrics: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The answer as a JSON-able dict: the attributes by name."""
        return asdict(self) | {"model": str(self.model)}

    def as_text(self) -> str:
        """The answer as lines of text."""
        metrics = self.metrics
        counts = ", ".join(f"{count} {name}" for name, count in metrics["class_counts"].items())
        lines = [f"{self.data}: {metrics['n']} images, {counts}"]
        if self.demo:
            lines.append("a demonstration's model: its figures say nothing about mammography")
        if self.holdout_readings is not None:
            times = readings_text(self.holdout_readings, asdict(self.other_splits) if self.other_splits else None)
            now = "now included" if self.counted else "now not counted: this model had read them before"
            lines.append(f"these held-out patients have been evaluated {times} ({now})")
        if self.left_out_patients:
            lines.append(f"{self.left_out_patients} patients left out, for the model's run knows them")
        titles = metric_titles(metrics)
        rows = [(title, interval_text(metrics[key])) for key, title in titles.items() if key in metrics]
        if "calibration" in metrics and metrics["calibration"]["chosen"] == "none":
            lines.append("probabilities are plain, for no correction helped out of fold")
        elif "calibration" in metrics:
            corrected = metrics["calibration"]["corrected"]
            rows += [
                (f"{title}, calibrated", interval_text(corrected[key]))
                for key, title in titles.items()
                if key in corrected
            ]
        whole = metrics["by_patient"]
        rows += [(f"{area['endpoint']}, AUC a woman", interval_text(area["auc"])) for area in whole["areas"]]
        for points, whose in ((metrics["operating_points"], ""), (whole["operating_points"], ", a woman")):
            for point in points:
                aim = f"for {point['target_specificity']:.2f}" if "asked" not in point else f"at {point['asked']}"
                title = f"{point['endpoint']}, threshold {aim.replace('at threshold ', '')}{whose}"
                rows.append((f"{title}: sensitivity", interval_text(point["sensitivity"])))
                rows.append((f"{'':{len(title)}}  specificity", interval_text(point["specificity"])))
        width = max(len(title) for title, _ in rows)
        return "\n".join([*lines, *(f"{title:{width}}  {value}" for title, value in rows)])


def evaluate_model(
    file: ModelFile,
    console: Console,
    *,
    data: Path | None,
    info: Path | None,
    leave_out_known: bool,
    predictions_file: Path | None,
) -> ModelEvaluation:
    """Evaluate an exported model.

    Args:
        file: The model.
        console: Shows how far it is.
        data: A labelled set of other patients; None for the run's held-out ones, which is written into the ledger.
        info: Its Info.txt, where that lies elsewhere.
        leave_out_known: Go on without external patients that the model was developed on.
        predictions_file: Also write the model's own probabilities there, as predictions.csv.

    Raises:
        DataError, UserError: If model or data are not as they have to be; the held-out patients are not read then.
        InterruptionError: If the user has ended it; predictions until then are kept where they go to a file.
    """
    console.print(RESEARCH_USE, highlight=False, soft_wrap=not console.is_terminal)
    with RunProgress(console).shown() as progress:
        if data is None:
            labelled = held_out_images(file, progress)
        else:
            cache = cache_for(file.run)
            labelled = external_images(file.metadata, data, info, cache, progress, leave_out_known=leave_out_known)
    model = ExportedModel(file)
    times, others, counted = None, None, False
    if labelled.held_out is not None and file.run is not None:  # no model that has left its run has held-out patients
        run, began, sha256 = file.run, file.run.read_manifest().created, file.metadata.content["sha256"]
        drawn = {"films": labelled.films, "draw": labelled.draw}
        counted = record_evaluation(run.runs, labelled.held_out, run.name, began=began, model=sha256, **drawn).counted
        times, others = len(readings(run.runs, labelled.held_out)), other_splits(run.runs, **drawn)
    predictions = _predicted(model, labelled, predictions_file)
    known = file.metadata
    metrics = evaluate_fixed(predictions, correction=known.correction, thresholds=known.thresholds, fixed=data is None)
    if predictions_file is not None:
        predictions.write_csv(predictions_file)
    return ModelEvaluation(
        model=file.path,
        data=labelled.described,
        demo=file.metadata.read.demo,
        holdout_readings=times,
        other_splits=others,
        counted=counted,
        left_out_patients=labelled.left_out,
        metrics=metrics,
    )


def _predicted(model: ExportedModel, labelled: LabelledImages, file: Path | None) -> Predictions:
    found: list[NDArray[np.float64]] = []
    images, table = labelled.images, labelled.table

    def so_far() -> Predictions:
        probabilities = np.concatenate(found)
        done = table.take(range(len(probabilities)))
        return Predictions(done.image_ids, done.patient_ids, done.labels, probabilities, done.class_names)

    try:
        for start in range(0, len(images), BATCH):
            found.append(model.probabilities(images[start : start + BATCH]))
    except KeyboardInterrupt:
        said = ["interrupted"]
        if found and file is not None:
            so_far().write_csv(file)
            said.append(f"{sum(map(len, found))} of {len(images)} rows kept in {file}")
        if labelled.held_out is not None:
            said.append("the reading of the held-out patients is logged")
        raise InterruptionError("; ".join(said)) from None
    return so_far()
