"""Forests of intervals: the AUC of each subgroup, and of each outer fold of a nested run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reports.evaluation.nested import OuterFold
from reports.evaluation.subgroups import SubgroupResult, slice_title
from reports.figures.style import ACCENT, CONTRAST, FAINT, INK, NOTE, TICK, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_subgroups(results: tuple[SubgroupResult, ...], *, of: str = "the held-out patients") -> Figure:
    """One line a slice: AUC, interval, positives and negatives; suppressed slices are listed without a value.

    Args:
        results: From `reports.evaluation.subgroups.subgroup_results`, at least one.
        of: Whose subgroups they are, for the axis.
    """
    figure = new_figure(7.6, 1.5 + 0.4 * len(results))
    axes = figure.subplots()
    for place, result in enumerate(reversed(results)):
        if result.auc.value is None:
            axes.text(0.02, place, "too few cases", ha="left", va="center", fontsize=NOTE, color=FAINT)
            continue
        if result.auc.lower is not None and result.auc.upper is not None:
            axes.plot([result.auc.lower, result.auc.upper], [place, place], color=ACCENT, linewidth=2.6, alpha=0.55)
        axes.plot(result.auc.value, place, "o", color=ACCENT, markersize=7)
    axes.axvline(0.5, color=FAINT, linestyle=":", linewidth=1.2, zorder=0)
    dress(axes, title="AUC by subgroup", x=f"AUC of {of}, 95 % interval", y="", grid="x")
    axes.set_yticks(
        range(len(results)),
        [f"{slice_title(r.group, r.level)}  ({r.positives} + {r.negatives})" for r in reversed(results)],
        fontsize=TICK,
        color=INK,
    )
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(0, 1.02), ylim=(-0.7, len(results) - 0.3))
    axes.spines["left"].set_visible(False)
    figure.supxlabel(
        "In brackets: positives + negatives. Tissue: worst class versus rest; all others: abnormal versus normal.",
        fontsize=NOTE,
        color=FAINT,
    )
    return figure


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


def _draw_interval(axes: Axes, place: int, entry: Any, colour: str) -> None:
    value = entry["value"] if isinstance(entry, Mapping) else entry
    if value is None:
        axes.text(0.02, place, "not defined", ha="left", va="center", fontsize=NOTE, color=FAINT)
        return
    if isinstance(entry, Mapping) and entry.get("lower") is not None:
        axes.plot([entry["lower"], entry["upper"]], [place, place], color=colour, linewidth=2.6, alpha=0.55)
    axes.plot(value, place, "o", color=colour, markersize=7)
    axes.text(1.01, place + 0.18, f"{value:.2f}", ha="right", va="bottom", fontsize=NOTE, color=INK)
