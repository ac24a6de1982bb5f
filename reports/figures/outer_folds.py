"""Outer folds of a nested run: AUC of each as a forest, and the primary endpoint's ROC curves within the folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reports.evaluation.nested import OuterFold
from reports.figures.style import ACCENT, CONTRAST, FAINT, INK, NOTE, TICK, dress, new_figure, not_defined
from reports.metrics.auc import WeightedRanking
from reports.metrics.table import primary_scores
from reports.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GRID = np.linspace(0, 1, 201)


def draw_outer_folds(folds: Sequence[OuterFold], metrics: Mapping[str, Any]) -> Figure:
    """A panel each for the primary endpoint and the macro AUC: a line a fold, and the mean below.

    Args:
        folds: The outer folds.
        metrics: From `reports.evaluation.nested.nested_metrics`.
    """
    figure = new_figure(7.2, 2.0 + 0.5 * len(folds))
    panels = figure.subplots(1, 2, sharey=True)
    endpoint = str(metrics["primary_endpoint"])
    titles = (f"{endpoint[:1].upper()}{endpoint[1:]}", "Macro one-vs-rest")
    for axes, key, title in zip(panels, ("primary_auc", "macro_ovr_auc"), titles, strict=True):
        entries = [*(fold.metrics[key] for fold in folds), metrics[key]]
        for place, entry in enumerate(reversed(entries)):
            _draw_interval(axes, place, entry, CONTRAST if place == 0 else ACCENT)
        axes.axvline(0.5, color=FAINT, linestyle=":", linewidth=1.2, zorder=0)
        dress(axes, title=title, x="AUC", y="", grid="x")
        axes.set(xlim=(0, 1.02), ylim=(-0.7, len(entries) - 0.3))
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    worst = metrics["class_names"][-1]
    names = [f"fold {fold.number}  ({fold.class_counts[worst]} {worst})" for fold in folds]
    panels[0].set_yticks(range(len(folds) + 1), [*reversed([*names, "mean over folds"])], fontsize=TICK, color=INK)
    figure.supxlabel(
        "95 % intervals over patients; that of the mean draws patients within folds", fontsize=NOTE, color=FAINT
    )
    return figure


def draw_outer_roc(predictions: Predictions, outer_folds: NDArray[np.integer]) -> Figure:
    """A thin curve a fold and their vertical mean; cases of different folds are never ranked against each other.

    Args:
        predictions: Outer predictions of all patients.
        outer_folds: Outer fold of each case, int [n].
    """
    figure = new_figure(6.4, 5.8)
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
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":")
    if heights:
        label = f"mean of {len(heights)} outer folds"
        axes.plot(np.r_[0, _GRID], np.r_[0, np.mean(heights, axis=0)], color=CONTRAST, linewidth=2.4, label=label)
        axes.legend(loc="lower right", fontsize=NOTE + 0.5, frameon=True, framealpha=0.9, edgecolor="none")
    else:
        not_defined(axes, "no fold has cases of both kinds")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    worst = predictions.class_names[-1]
    dress(axes, title=f"{worst.capitalize()} versus rest, within outer folds", x="1 − specificity", y="sensitivity")
    return figure


def _draw_interval(axes: Axes, place: int, entry: Any, colour: str) -> None:
    value = entry["value"] if isinstance(entry, Mapping) else entry
    if value is None:
        axes.text(0.02, place, "not defined", ha="left", va="center", fontsize=NOTE, color=FAINT)
        return
    if isinstance(entry, Mapping) and entry.get("lower") is not None:
        axes.plot([entry["lower"], entry["upper"]], [place, place], color=colour, linewidth=2.6, alpha=0.55)
    axes.plot(value, place, "o", color=colour, markersize=7)
    axes.text(1.01, place + 0.18, f"{value:.2f}", ha="right", va="bottom", fontsize=NOTE, color=INK)
