"""ROC curves: each class against the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reports.figures.style import CLASS_LINES, FAINT, NOTE, class_colour, dress, new_figure, not_defined
from reports.metrics.auc import WeightedRanking
from reports.metrics.table import one_vs_rest_auc
from reports.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_roc(predictions: Predictions) -> Figure:
    """One-vs-rest ROC curves with AUC and the number of cases of the class in the legend.

    Args:
        predictions: The cases; a class without cases gets a legend entry and no curve.
    """
    figure = new_figure(6.4, 5.8)
    axes = figure.subplots()
    ones = np.ones((1, len(predictions)))
    drawn = 0
    for index, name in enumerate(predictions.class_names):
        positive, scores = predictions.labels == index, predictions.probabilities[:, index]
        count = int(positive.sum())
        ranking = WeightedRanking.of(positive, scores, ones)
        if not ranking.defined[0]:
            axes.plot([], [], color=class_colour(index), label=f"{name}: not defined (n = {count})")
            continue
        false, true = ranking.curve()
        area = one_vs_rest_auc(predictions.labels, scores, index)
        axes.plot(
            false[0],
            true[0],
            color=class_colour(index),
            linestyle=CLASS_LINES[index % len(CLASS_LINES)],
            linewidth=2.2,
            label=f"{name}: AUC {area:.2f} (n = {count})",
        )
        drawn += 1
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":", label="chance: AUC 0.50")
    if not drawn:
        not_defined(axes, "all cases are of one class")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    dress(
        axes,
        title=f"Each class against the rest: {len(predictions)} images, {predictions.n_patients} patients",
        x="1 − specificity",
        y="sensitivity",
    )
    axes.legend(loc="lower right", fontsize=NOTE + 0.5, frameon=True, framealpha=0.9, edgecolor="none")
    return figure
