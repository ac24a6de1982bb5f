"""Forests of intervals: the AUC of each subgroup, of each outer fold of a nested run, and of several runs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reports.evaluation.nested import OuterFold
from reports.evaluation.subgroups import SubgroupResult, slice_title
from reports.figures.style import ACCENT, CONTRAST, FAINT, INK, NOTE, TICK, dress, new_figure, write_note

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAME = 14
"""Letters of a run's name, or of a narrow panel's title, in a line."""


def draw_subgroups(results: tuple[SubgroupResult, ...], *, of: str = "the held-out patients") -> Figure:
    """One line a slice: AUC, interval, positives and negatives; suppressed slices are listed without a value.

    Args:
        results: From `reports.evaluation.subgroups.subgroup_results`, at least one.
        of: Whose subgroups they are, for the axis.
    """
    figure = new_figure(1.5 + 0.5 * len(results))
    axes = figure.subplots()
    for place, result in enumerate(reversed(results)):
        _draw_interval(axes, place, vars(result.auc), ACCENT, missing="too few cases")
        name = f"{slice_title(result.group, result.level)}  ({result.positives} + {result.negatives})"
        # Above its line: beside it, the longest would take half of the figure.
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        axes.text(0, place + 0.2, name, ha="left", va="bottom", fontsize=TICK, color=INK, bbox=ground)
    _frame(axes, len(results), title="AUC by subgroup", x=f"AUC of {of}, 95 % interval")
    axes.set_yticks([])
    note = "In brackets: positives + negatives. Tissue: worst class versus rest; all others: abnormal versus normal."
    write_note(figure, note)
    return figure


def draw_outer_folds(folds: Sequence[OuterFold], metrics: Mapping[str, Any]) -> Figure:
    """A panel each for the primary endpoint and the macro AUC: a line a fold, and the mean below.

    Args:
        folds: The outer folds.
        metrics: From `reports.evaluation.nested.nested_metrics`.
    """
    figure = new_figure(2.2 + 0.48 * len(folds))
    panels = figure.subplots(1, 2, sharey=True)
    endpoint = str(metrics["primary_endpoint"])
    titles = (f"{endpoint[:1].upper()}{endpoint[1:]}", "Macro one-vs-rest")
    for axes, key, title in zip(panels, ("primary_auc", "macro_ovr_auc"), titles, strict=True):
        entries = [metrics[key], *(fold.metrics[key] for fold in reversed(folds))]
        for place, entry in enumerate(entries):
            limits = entry if isinstance(entry, Mapping) else {"value": entry}
            _draw_interval(axes, place, limits, CONTRAST if place == 0 else ACCENT, missing="not defined")
            if (value := limits["value"]) is not None:
                axes.text(1.01, place + 0.18, f"{value:.2f}", ha="right", va="bottom", fontsize=NOTE, color=INK)
        _frame(axes, len(entries), title=textwrap.fill(title, _NAME, break_on_hyphens=False), x="AUC")
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_xlim(-0.08, 1.08)  # the marks at the ends of neighbours stay apart
    worst = metrics["class_names"][-1]
    names = [f"fold {fold.number}  ({fold.class_counts[worst]} {worst})" for fold in reversed(folds)]
    panels[0].set_yticks(range(len(folds) + 1), ["mean over folds", *names], fontsize=TICK, color=INK)
    note = "95 % intervals over patients; that of the mean draws patients within folds"
    write_note(figure, note)
    return figure


def draw_comparison(runs: Sequence[tuple[str, Mapping[str, Any]]], less: Sequence[Mapping[str, Any]]) -> Figure:
    """Two panels for the primary endpoint and two for the macro AUC: each run's area, and what it has over the first's.

    Args:
        runs: Name and metrics.json of each, at least two.
        less: Of each but the first one: metric to interval of its difference.
    """
    figure = new_figure(2.6 + 1.1 * len(runs))
    panels = figure.subplots(2, 2, sharey=True)
    endpoint = str(runs[0][1]["primary_endpoint"])
    titles = {"primary_auc": f"{endpoint[:1].upper()}{endpoint[1:]}", "macro_ovr_auc": "Macro one-vs-rest"}
    for (left, right), (key, title) in zip(panels, titles.items(), strict=True):
        for place, (_, metrics) in enumerate(reversed(runs)):
            _draw_interval(left, place, metrics[key], ACCENT, missing="not defined")
        for place, difference in enumerate(reversed(less)):
            _draw_interval(right, place, difference[key], CONTRAST, missing="not defined")
        _frame(left, len(runs), title=title, x="AUC")
        left.set_yticks(
            range(len(runs)), [textwrap.fill(name, _NAME) for name, _ in reversed(runs)], fontsize=TICK, color=INK
        )
        right.axvline(0, color=FAINT, linewidth=1.0)
        dress(right, title="Minus the first run", x="difference in AUC", y="", grid="x")
        right.tick_params(axis="y", length=0)
        right.spines["left"].set_visible(False)
        most = max(
            [abs(bound) for each in less for bound in (each[key]["lower"], each[key]["upper"]) if bound], default=0
        )
        right.set_xlim(-max(0.05, 1.1 * most), max(0.05, 1.1 * most))
        right.locator_params(axis="x", nbins=3)
    write_note(
        figure,
        f"95 % intervals over patients; the first run is {runs[0][0]}. Where the interval of a difference holds 0, "
        "the data can't tell the runs apart.",
    )
    return figure


def _draw_interval(axes: Axes, place: int, limits: Mapping[str, Any], colour: str, *, missing: str) -> None:
    if limits["value"] is None:
        axes.text(0.02, place, missing, ha="left", va="center", fontsize=NOTE, color=FAINT)
        return
    if limits.get("lower") is not None:
        axes.plot([limits["lower"], limits["upper"]], [place, place], color=colour, linewidth=2.6, alpha=0.55)
    axes.plot(limits["value"], place, "o", color=colour, markersize=7)


def _frame(axes: Axes, lines: int, *, title: str, x: str) -> None:
    axes.axvline(0.5, color=FAINT, linestyle=":", linewidth=1.2, zorder=0)
    dress(axes, title=title, x=x, y="", grid="x")
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(0, 1.02), ylim=(-0.7, lines - 0.3))
    axes.spines["left"].set_visible(False)
