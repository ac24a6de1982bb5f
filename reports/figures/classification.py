"""Figures of the most probable class: the confusion matrix, and precision, recall, F1 and specificity of each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reports.figures.style import (
    FAINT,
    INK,
    LABEL,
    NOTE,
    TICK,
    TITLE,
    class_colour,
    dress,
    legend,
    new_figure,
    write_note,
)
from reports.metrics.auc import ratio
from reports.metrics.confusion import confusion_matrices
from reports.metrics.table import classification_metrics
from reports.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = ("precision", "recall", "f1", "specificity")
TITLES = ("precision", "recall", "F1", "specificity")


def draw_confusion_matrix(predictions: Predictions) -> Figure:
    """Counts in large type, the share of the row (the true class) below, white to blue by that share.

    Args:
        predictions: The cases; the row of a class without cases stays white and says "–".
    """
    names = predictions.class_names
    size = len(names)
    ones = np.ones((1, len(predictions)))
    counts = confusion_matrices(predictions.labels, predictions.predicted, size, ones)[0]
    shares = ratio(counts, counts.sum(axis=1, keepdims=True))
    figure = new_figure(1.3 + 0.85 * size)
    axes = figure.subplots()
    axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": "white" if share > 0.6 else INK}
        axes.text(column, row - 0.12, f"{counts[row, column]:.0f}", fontsize=17, **style)
        axes.text(column, row + 0.26, "–" if np.isnan(share) else f"{share:.0%}", fontsize=TICK, **style)
    axes.set_xticks(range(size), names, fontsize=LABEL)
    totals = [f"{name}\n(n = {total:.0f})" for name, total in zip(names, counts.sum(axis=1), strict=True)]
    axes.set_yticks(range(size), totals, fontsize=LABEL)
    # White seams between the cells, drawn on minor ticks.
    axes.set_xticks(np.arange(1, size) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, size) - 0.5, minor=True)
    axes.grid(visible=True, which="minor", color="white", linewidth=3)
    axes.tick_params(which="both", length=0, colors=INK)
    axes.spines[:].set(color=FAINT, linewidth=0.6)
    axes.set_xlabel("predicted class", fontsize=LABEL, color=INK)
    axes.set_ylabel("true class", fontsize=LABEL, color=INK)
    axes.set_title("Confusion matrix", fontsize=TITLE, color=INK, pad=10, loc="left")
    note = (
        f"Images, and their share of the true class (the row), at the most probable class: {len(predictions)} images "
        f"of {predictions.n_patients} patients"
    )
    write_note(figure, note)
    return figure


def draw_class_metrics(predictions: Predictions) -> Figure:
    """Bars grouped by metric, one colour a class, the value at the end of each bar.

    Args:
        predictions: The cases; a metric that is not defined has "n/d" in the place of its bar.
    """
    metrics = classification_metrics(predictions)
    names = predictions.class_names
    figure = new_figure(1.4 + 0.26 * len(SHOWN) * len(names))
    axes = figure.subplots()
    height = 0.8 / len(names)
    for index, name in enumerate(names):
        values = [metrics["per_class"][name][metric] for metric in SHOWN]
        places = np.arange(len(SHOWN)) + (index - (len(names) - 1) / 2) * height
        label = f"{name} ({metrics['class_counts'][name]})"
        axes.barh(places, [value or 0.0 for value in values], height * 0.92, color=class_colour(index), label=label)
        for place, value in zip(places, values, strict=True):
            text = "n/d" if value is None else f"{value:.2f}"
            colour = FAINT if value is None else INK
            axes.text((value or 0) + 0.012, place, text, ha="left", va="center", fontsize=NOTE, color=colour)
    dress(axes, title="Class metrics at the most probable class", x="value (in brackets: images)", y="", grid="x")
    axes.set_yticks(range(len(SHOWN)), TITLES)
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(len(SHOWN) - 0.5, -0.5), xlim=(0, 1.12))
    axes.set_xticks(np.linspace(0, 1, 6))
    legend(figure, columns=len(names))
    return figure
