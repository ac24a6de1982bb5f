"""Reliability diagrams: predicted against observed, before and after the correction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reports.evaluation.reliability import reliability_bins
from reports.figures.style import FAINT, INK, LABEL, NOTE, class_colour, dress, new_figure
from reports.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_reliability(predictions: Predictions, corrected: Predictions | None) -> Figure:
    """One panel a class: open marks as exported, filled ones corrected; area by images, bars are Wilson limits.

    Args:
        predictions: As the model gives them.
        corrected: After prior and temperature, or None.
    """
    names = predictions.class_names
    figure = new_figure(6.4, 0.9 + 2.75 * len(names))
    panels = np.atleast_1d(figure.subplots(len(names), sharex=True))
    for index, (axes, name) in enumerate(zip(panels, names, strict=True)):
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":")
        _draw_bins(axes, predictions, index, FAINT if corrected else class_colour(index), "as exported", filled=False)
        if corrected:
            _draw_bins(axes, corrected, index, class_colour(index), "corrected", filled=True)
        count = int((predictions.labels == index).sum())
        dress(axes, title=f"{name} (n = {count} of {len(predictions)})", x="", y="observed share")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.04, 1.04))
        if index == 0:
            axes.legend(loc="upper left", fontsize=NOTE + 0.5, frameon=True, framealpha=0.9, edgecolor="none")
    panels[-1].set_xlabel("predicted probability", fontsize=LABEL, color=INK)
    figure.supxlabel(
        "Ten bins of equal width; a larger mark is more images; bars: 95 % Wilson limits", fontsize=NOTE, color=FAINT
    )
    return figure


def _draw_bins(axes: Axes, table: Predictions, index: int, colour: str, label: str, *, filled: bool) -> None:
    bins = reliability_bins(table, index)
    x = [item.mean_predicted for item in bins]
    y = [item.observed.value or 0.0 for item in bins]
    if filled:
        below = [max(0.0, value - (item.observed.lower or 0.0)) for item, value in zip(bins, y, strict=True)]
        above = [max(0.0, (item.observed.upper or 0.0) - value) for item, value in zip(bins, y, strict=True)]
        axes.errorbar(x, y, yerr=[below, above], fmt="none", ecolor=colour, elinewidth=1.2, alpha=0.6)
    axes.plot(x, y, color=colour, linewidth=1.6 if filled else 1, linestyle="-" if filled else "--")
    axes.scatter(
        x,
        y,
        s=[25 + 260 * item.cases / len(table) for item in bins],
        facecolor=colour if filled else "white",
        edgecolor=colour,
        linewidth=1.3,
        zorder=3,
        label=label,
        clip_on=False,  # large marks lie on the borders at 0 and 1
    )
