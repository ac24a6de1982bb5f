"""ROC curves: each class against the rest, and the primary endpoint within the outer folds of a nested run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reports.figures.style import (
    ACCENT,
    CLASS_LINES,
    CONTRAST,
    FAINT,
    class_colour,
    dress,
    legend,
    new_figure,
    not_defined,
)
from reports.metrics.auc import WeightedRanking
from reports.metrics.table import one_vs_rest_auc, primary_scores
from reports.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GRID = np.linspace(0, 1, 201)


def draw_roc(predictions: Predictions) -> Figure:
    """One-vs-rest ROC curves with AUC and the number of cases of the class in the legend.

    Args:
        predictions: The cases; a class without cases gets a legend entry and no curve.
    """
    figure = new_figure(5.9)
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
    _frame(axes, f"Each class against the rest, {len(predictions)} images")
    legend(figure, columns=1)
    return figure


def draw_outer_roc(predictions: Predictions, outer_folds: NDArray[np.integer]) -> Figure:
    """A thin curve a fold and their vertical mean; cases of different folds are never ranked against each other.

    Args:
        predictions: Outer predictions of all patients.
        outer_folds: Outer fold of each case, int [n].
    """
    figure = new_figure(5.5)
    axes = figure.subplots()
    heights = []
    for fold in np.unique(outer_folds):
        part = predictions.take(np.flatnonzero(outer_folds == fold))
        ranking = WeightedRanking.of(*primary_scores(part), np.ones((1, len(part))))
        if not ranking.defined[0]:
            continue
        false, true = ranking.curve()
        axes.plot(false[0], true[0], color=ACCENT, linewidth=1, alpha=0.45)
        heights.append(np.interp(_GRID, false[0], true[0]))
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":", label="chance")
    if heights:
        label = f"mean of {len(heights)} outer folds"
        axes.plot(np.r_[0, _GRID], np.r_[0, np.mean(heights, axis=0)], color=CONTRAST, linewidth=2.4, label=label)
        axes.plot([], [], color=ACCENT, linewidth=1, alpha=0.45, label="one fold")
    else:
        not_defined(axes, "no fold has cases of both kinds")
    legend(figure, columns=3)
    _frame(axes, f"{predictions.class_names[-1].capitalize()} versus rest, within outer folds")
    return figure


def _frame(axes: Axes, title: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    dress(axes, title=title, x="1 − specificity", y="sensitivity")
