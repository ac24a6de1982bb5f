"""The decision curve of the primary endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reports.evaluation.decision_curve import DecisionCurve
from reports.figures.style import ACCENT, FAINT, INK, NOTE, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_decision_curve(curve: DecisionCurve, *, endpoint: str) -> Figure:
    """Net benefit of the model with its band, of calling all images positive, and of calling none.

    Args:
        curve: From `reports.evaluation.decision_curve.decision_curve`.
        endpoint: What counts as positive, for the title.
    """
    figure = new_figure(6.8, 4.9)
    axes = figure.subplots()
    axes.fill_between(
        curve.thresholds, curve.lower, curve.upper, color=ACCENT, alpha=0.18, linewidth=0, label="95 % band, patients"
    )
    axes.plot(curve.thresholds, curve.model, color=ACCENT, linewidth=2.2, label="model")
    axes.plot(curve.thresholds, curve.all_positive, color=INK, linewidth=1.4, linestyle="--", label="recall all")
    axes.axhline(0, color=FAINT, linewidth=1.4, linestyle=":", label="recall none")
    highest = max(float(np.nanmax(curve.upper)), float(np.nanmax(curve.all_positive)), 0.02)
    # "Recall all" falls without end; the part that no one would choose is cut off.
    axes.set(ylim=(-0.35 * highest, 1.1 * highest), xlim=(0, float(curve.thresholds[-1])))
    dress(axes, title=f"Decision curve: {endpoint}", x="threshold probability", y="net benefit per image")
    axes.legend(loc="upper right", fontsize=NOTE + 0.5, frameon=True, framealpha=0.9, edgecolor="none")
    return figure
