"""Importances of the hyperparameters: two methods side by side, against what shuffled scores would show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from reports.figures.style import ACCENT, CLASS_COLOURS, INK, NOTE, dress, new_figure
from reports.search_plots.importance import ImportanceComparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = (ACCENT, CLASS_COLOURS[1])


def draw_importance(comparisons: Sequence[ImportanceComparison]) -> Figure:
    """A panel a budget: bars of both methods, and a mark where 95 % of shuffled scores stay below.

    Args:
        comparisons: One or more, of different budgets.
    """
    from matplotlib.lines import Line2D

    rows = max(len(comparison.order) for comparison in comparisons)
    figure = new_figure(7.2, 1.0 + (1.1 + 0.42 * rows) * len(comparisons))
    for axes, comparison in zip(np.atleast_1d(figure.subplots(len(comparisons))), comparisons, strict=True):
        names = comparison.order
        height = 0.8 / len(comparison.methods)
        for number, (method, found) in enumerate(comparison.methods.items()):
            places = np.arange(len(names)) + (number - (len(comparison.methods) - 1) / 2) * height
            axes.barh(
                places, [found.shares[name] for name in names], height * 0.9, color=_COLOURS[number], label=method
            )
            chance = [found.chance[name] for name in names]
            axes.vlines(chance, places - height / 2, places + height / 2, color=INK, linewidth=1.6)
        title = f"Importance: {comparison.runs} runs of {comparison.epochs} epochs"
        dress(axes, title=title, x="", y="", grid="x")
        axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
        axes.set_ylim(len(names) - 0.45, -0.55)
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"share of the importance\n{_words(comparison)}", fontsize=NOTE, color=INK, loc="left")
        axes.tick_params(axis="y", length=0)
    handles, labels = axes.get_legend_handles_labels()
    handles.append(Line2D([], [], color=INK, linewidth=1.6, marker="|", linestyle="", markersize=11))
    labels.append("95 % of shuffled scores stay below")
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=NOTE + 0.5, frameon=False)
    return figure


def _words(comparison: ImportanceComparison) -> str:
    above, order = comparison.above_chance, comparison.order
    found = "No hyperparameter is beyond chance in both methods"
    if above:
        found = f"Beyond chance in both methods: {', '.join(name.replace('_', ' ') for name in above)}"
    first = f"both put {order[0].replace('_', ' ')} first" if comparison.same_first else "they differ in what is first"
    return f"{found}.\nDisagreement of the methods {comparison.disagreement:.2f} (0 none, 1 total); {first}."
