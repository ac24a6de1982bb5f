"""PNG files of the figures that a report shows of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reports.evaluation.evaluate import Evaluation
from reports.evaluation.nested import OuterFold
from reports.figures.classification import draw_class_metrics, draw_confusion_matrix
from reports.figures.enough import draw_enough
from reports.figures.forests import draw_outer_folds, draw_subgroups
from reports.figures.probabilities import draw_decision_curve, draw_reliability
from reports.figures.roc import draw_outer_roc, draw_roc
from reports.figures.style import save_all
from reports.figures.trials import draw_training_curves
from reports.predictions import Predictions
from reports.trials import TrialRecord


def write_figures(predictions: Predictions, winner: TrialRecord | None, directory: Path) -> dict[str, Path]:
    """Draws the figures that every run has.

    Args:
        predictions: Of the held-out patients.
        winner: The best trial, for its training curves; None leaves them out.
        directory: Where the PNG files go.

    Returns:
        Figure name to file, in the order in which a report shows them: roc, confusion_matrix, class_metrics,
        training_curves.
    """
    figures = {
        "roc": draw_roc(predictions),
        "confusion_matrix": draw_confusion_matrix(predictions),
        "class_metrics": draw_class_metrics(predictions),
    }
    if winner is not None and any(winner.curves.values()):
        figures["training_curves"] = draw_training_curves(winner)
    return save_all(figures, directory)


def write_evaluation_figures(
    evaluation: Evaluation, directory: Path, *, of: str = "the held-out patients"
) -> dict[str, Path]:
    """Draws the figures of the parts that an evaluation has beyond the plain metrics.

    Args:
        evaluation: From `reports.evaluation.evaluate.evaluate`.
        directory: Where the PNG files go.
        of: Whose figures they are, for a title.

    Returns:
        Figure name to file: reliability, and where the evaluation has them decision_curve and enough, and where a
        slice is large enough subgroups.
    """
    is_corrected = evaluation.corrected is not evaluation.predictions
    figures = {"reliability": draw_reliability(evaluation.predictions, evaluation.corrected if is_corrected else None)}
    if evaluation.curve is not None:
        endpoint = str(evaluation.metrics["primary_endpoint"])
        figures["decision_curve"] = draw_decision_curve(evaluation.curve, endpoint=endpoint)
    if "enough" in evaluation.metrics:
        figures["enough"] = draw_enough(evaluation.metrics["enough"])
    if any(not result.suppressed for result in evaluation.subgroups):
        figures["subgroups"] = draw_subgroups(evaluation.subgroups, of=of)
    return save_all(figures, directory)


def write_nested_figures(
    evaluation: Evaluation,
    folds: Sequence[OuterFold],
    fold_of_case: NDArray[np.integer],
    winner: TrialRecord,
    directory: Path,
) -> dict[str, Path]:
    """Draws the figures of a nested run; none of them ranks cases of different folds against each other.

    Args:
        evaluation: From `reports.evaluation.nested.evaluate_nested`.
        folds: The outer folds.
        fold_of_case: Outer fold of each case, int [n].
        winner: The best trial of the search on all patients.
        directory: Where the PNG files go.

    Returns:
        Figure name to file.
    """
    predictions = evaluation.predictions
    figures = {
        "outer_folds": draw_outer_folds(folds, evaluation.metrics),
        "outer_roc": draw_outer_roc(predictions, fold_of_case),
        "confusion_matrix": draw_confusion_matrix(predictions),
        "class_metrics": draw_class_metrics(predictions),
        "training_curves": draw_training_curves(winner),
    }
    of = "all patients, within outer folds"
    return save_all(figures, directory) | write_evaluation_figures(evaluation, directory, of=of)
