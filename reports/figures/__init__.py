"""The figures of a run, as PNG files."""

from __future__ import annotations

from pathlib import Path

from reports.figures.class_metrics import draw_class_metrics
from reports.figures.confusion_matrix import draw_confusion_matrix
from reports.figures.roc import draw_roc
from reports.figures.style import save
from reports.figures.training_curves import draw_training_curves
from reports.predictions import Predictions
from reports.trial_record import TrialRecord

__all__ = ["write_figures"]


def write_figures(predictions: Predictions, winner: TrialRecord | None, directory: Path) -> dict[str, Path]:
    """Draws the figures that every run has.

    Args:
        predictions: Of the held-out patients.
        winner: The best run, for its training curves; None leaves them out.
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
    return {name: save(figure, directory / f"{name}.png") for name, figure in figures.items()}
