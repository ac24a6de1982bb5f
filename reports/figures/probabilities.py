"""Figures of the probabilities: reliability before and after the correction, and the decision curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reports.decisions.decision_curve import DecisionCurve
from reports.decisions.probabilities import reliability_bins
from reports.figures.style import (
    ACCENT,
    FAINT,
    INK,
    LABEL,
    class_colour,
    dress,
    legend,
    new_figure,
    write_note,
)
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
    figure = new_figure(1.4 + 2.1 * len(names))
    panels = np.atleast_1d(figure.subplots(len(names), sharex=True))
    for index, (axes, name) in enumerate(zip(panels, names, strict=True)):
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2, linestyle=":", label="perfect: observed = predicted")
        _draw_bins(axes, predictions, index, FAINT if corrected else class_colour(index), "as exported", filled=False)
        if corrected:
            _draw_bins(axes, corrected, index, class_colour(index), "corrected", filled=True)
        count = int((predictions.labels == index).sum())
        dress(axes, title=f"{name} (n = {count} of {len(predictions)})", x="", y="observed share")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.04, 1.04))
    panels[-1].set_xlabel("predicted probability", fontsize=LABEL, color=INK)
    note = "Ten bins of equal width; a larger mark is more images; bars: 95 % limits"
    write_note(figure, note)
    legend(figure, panels[0].get_legend_handles_labels()[0], above=True, columns=1 + bool(corrected))
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


def draw_decision_curve(curve: DecisionCurve, *, endpoint: str) -> Figure:
    """Net benefit of the model with its band, of calling all images positive, and of calling none.

    Args:
        curve: From `reports.decisions.decision_curve.decision_curve`.
        endpoint: What counts as positive, for the title.
    """
    figure = new_figure(4.4)
    axes = figure.subplots()
    axes.fill_between(
        curve.thresholds, curve.lower, curve.upper, color=ACCENT, alpha=0.18, linewidth=0, label="95 % band, patients"
    )
    axes.plot(curve.thresholds, curve.model, color=ACCENT, linewidth=2.2, label="model")
    axes.plot(curve.thresholds, curve.all_positive, color=INK, linewidth=1.4, linestyle="--", label="recall all")
    axes.axhline(0, color=FAINT, linewidth=1.4, linestyle=":", label="recall none")
    highest = max(float(np.nanmax([*curve.upper, *curve.model, *curve.all_positive])), 0.02)
    # "Recall all" falls without end; the part that no one would choose is cut off.
    axes.set(ylim=(-0.35 * highest, 1.1 * highest), xlim=(0, float(curve.thresholds[-1])))
    dress(axes, title=f"Decision curve: {endpoint}", x="threshold probability", y="net benefit per image")
    legend(figure)
    return figure
