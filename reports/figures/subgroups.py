"""Subgroups as a forest of intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.evaluation.subgroups import SubgroupResult
from reports.figures.style import ACCENT, FAINT, INK, NOTE, TICK, dress, new_figure
from reports.page.words import slice_title

if TYPE_CHECKING:
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
