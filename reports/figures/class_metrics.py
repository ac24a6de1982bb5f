"""Precision, recall, F1 and specificity of each class, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reports.figures.style import FAINT, INK, NOTE, class_colour, dress, new_figure
from reports.metrics.table import classification_metrics
from reports.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = ("precision", "recall", "f1", "specificity")
TITLES = ("precision", "recall\n(sensitivity)", "F1", "specificity")


def draw_class_metrics(predictions: Predictions) -> Figure:
    """Bars grouped by metric, one colour a class, the value above each bar.

    Args:
        predictions: The cases; a metric that is not defined has "n/d" in the place of its bar.
    """
    metrics = classification_metrics(predictions)
    names = predictions.class_names
    figure = new_figure(7.2, 4.6)
    axes = figure.subplots()
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        values = [metrics["per_class"][name][metric] for metric in SHOWN]
        places = np.arange(len(SHOWN)) + (index - (len(names) - 1) / 2) * width
        axes.bar(
            places,
            [value or 0.0 for value in values],
            width * 0.92,
            color=class_colour(index),
            label=f"{name} (n = {metrics['class_counts'][name]})",
        )
        for place, value in zip(places, values, strict=True):
            text = "n/d" if value is None else f"{value:.2f}"
            colour = FAINT if value is None else INK
            axes.text(place, (value or 0) + 0.012, text, ha="center", va="bottom", fontsize=NOTE, color=colour)
    dress(axes, title="Class metrics at the most probable class", x="", y="value", grid="y")
    axes.set_xticks(range(len(SHOWN)), TITLES)
    axes.tick_params(axis="x", length=0, labelsize=11.5)
    axes.set_ylim(0, 1.08)
    axes.set_yticks(np.linspace(0, 1, 6))
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(names), fontsize=10.5, frameon=False
    )
    return figure
