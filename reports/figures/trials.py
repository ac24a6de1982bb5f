"""Figures of trials: training curves of one, learning curves and the timeline of a whole search."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from reports.figures.style import (
    ACCENT,
    CLASS_COLOURS,
    CONTRAST,
    FAINT,
    INK,
    LABEL,
    NOTE,
    dress,
    legend,
    new_figure,
    write_note,
)
from reports.trials import OBJECTIVE_CURVE, TrialRecord, best_trial, ranked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = (
    ("Loss", (("loss", "training", ACCENT), ("val_loss", "validation", CONTRAST))),
    ("Macro one-vs-rest AUC", (("val_macro_auc", "validation", CONTRAST),)),
    ("Balanced accuracy", (("val_balanced_accuracy", "validation", CONTRAST),)),
)

_LENGTH_COLOURS = ("#dfe4e8", "#b9c3cc", "#8fb8d8", "#4a95c9", "#00527f")
"""From pale to strong: the longer a configuration was trained."""

_BRACKET_COLOURS = tuple(colour for colour in CLASS_COLOURS if colour != CONTRAST)


def draw_training_curves(record: TrialRecord) -> Figure:
    """Mean over the folds as a line, smallest to largest fold as a band, the epoch of the score as a mark.

    Args:
        record: A trial with curves; panels whose curves it does not have are left out.
    """
    panels = [
        (title, [line for line in lines if record.curves.get(line[0])])
        for title, lines in PANELS
        if any(record.curves.get(name) for name, *_ in lines)
    ]
    figure = new_figure(1.3 + 1.75 * len(panels))
    folds = max(len(curve) for curve in record.curves.values())
    all_axes = np.atleast_1d(figure.subplots(len(panels), sharex=True))
    for axes, (title, lines) in zip(all_axes, panels, strict=True):
        for name, label, colour in lines:
            _draw_curve(axes, record.curves[name], label, colour)
        if record.objective is not None:
            axes.axvline(record.objective_epoch, color=FAINT, linestyle=":", linewidth=1.4, zorder=1)
        dress(axes, title=title, x="", y="")
    axes.set_xlim(0.5, record.epochs + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epoch", fontsize=LABEL, color=INK)
    about = f"mean of {folds} folds, band from the lowest to the highest fold" if folds > 1 else "one validation fold"
    scored = "" if record.objective is None else f"; dotted: epoch {record.objective_epoch}, which the score is of"
    write_note(figure, f"Trial {record.trial}: {about}{scored}")
    legend(figure, all_axes[0].get_legend_handles_labels()[0], above=True)
    return figure


def _draw_curve(axes: Axes, folds: tuple[tuple[float, ...], ...], label: str, colour: str) -> None:
    values = np.array(folds, dtype=np.float64)
    epochs = np.arange(1, values.shape[1] + 1)
    # A few epochs make a line of few corners; marks show that there is no more to see.
    marker = "o" if len(epochs) <= 12 else None
    axes.plot(epochs, values.mean(axis=0), color=colour, linewidth=2, marker=marker, markersize=4, label=label)
    if len(values) > 1:
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18, linewidth=0)


def draw_learning_curves(records: Sequence[TrialRecord]) -> Figure:
    """Mean over the folds of the objective's curve, from the first epoch to where the configuration was stopped.

    Read from top to bottom at one epoch: there, all lines are the same quantity. Dotted lines are the ends of rungs,
    where the best go on; the winner is drawn thick.

    Args:
        records: All trials; those without curves are left out.
    """
    from matplotlib.lines import Line2D

    drawn = [record for record in records if record.curves.get(OBJECTIVE_CURVE)]
    # Brackets that start on the same number of epochs are repetitions of one kind.
    start = {record.bracket: record.epochs for record in sorted(drawn, key=lambda record: -record.rung)}
    kinds = sorted(set(start.values()))
    ends = sorted({record.epochs for record in drawn})
    winner = best_trial(records) if ranked(records) else None
    figure = new_figure(1.9 + 1.9 * len(kinds))
    panels = np.atleast_1d(figure.subplots(len(kinds), sharey=True, sharex=True))
    for axes, kind in zip(panels, kinds, strict=True):
        _draw_brackets(axes, [record for record in drawn if start[record.bracket] == kind], ends, winner)
        dress(axes, title=f"First rung: {kind} epoch{'s' if kind != 1 else ''}", x="", y="")
        axes.set_ylabel("macro AUC", fontsize=LABEL, color=INK)
    axes.set_xlabel("epoch", fontsize=LABEL, color=INK)
    handles = [
        Line2D([], [], color=_length_colour(ends, epochs), linewidth=2, label=f"trained for {epochs} epochs")
        for epochs in ends
    ]
    if winner is not None:
        handles.append(Line2D([], [], color=CONTRAST, linewidth=2.6, label=f"winner, trial {winner.trial}"))
    handles.append(Line2D([], [], color=FAINT, linestyle=":", label="end of a rung"))
    legend(figure, handles, above=True)
    write_note(figure, "Mean of the folds. Trials of different budgets compare only at the same epoch")
    return figure


def _draw_brackets(axes: Axes, trials: Sequence[TrialRecord], ends: Sequence[int], winner: TrialRecord | None) -> None:
    from matplotlib.ticker import MaxNLocator

    last = {record.configuration: record for record in sorted(trials, key=lambda record: record.rung)}
    for record in sorted(last.values(), key=lambda record: record.rung):
        values = np.array(record.curves[OBJECTIVE_CURVE], dtype=np.float64).mean(axis=0)
        won = winner is not None and (record.configuration, record.bracket) == (winner.configuration, winner.bracket)
        axes.plot(
            np.arange(1, len(values) + 1),
            values,
            color=CONTRAST if won else _length_colour(ends, record.epochs),
            linewidth=2.6 if won else 1.6,
            # One epoch makes no line.
            marker="o" if len(values) <= 3 else None,
            markersize=4,
            zorder=5 if won else 2 + record.rung / 10,
        )
    for epochs in sorted({record.epochs for record in trials}):
        axes.axvline(epochs, color=FAINT, linestyle=":", linewidth=1.1, zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _length_colour(ends: Sequence[int], epochs: int) -> str:
    # Counted from the most epochs of any trial, which are always the strongest.
    return _LENGTH_COLOURS[max(0, len(_LENGTH_COLOURS) - len(ends) + ends.index(epochs))]


def draw_timeline(records: Sequence[TrialRecord]) -> Figure:
    """Bars from start to end, the first trial at the top, failed trials hatched; side by side where trials overlapped.

    The clock is taken from the first start; a gap of an interrupted search is a gap in the picture.

    Args:
        records: Trials; those without a start time are left out.
    """
    from matplotlib.patches import Patch

    trials = sorted((record for record in records if record.started), key=lambda record: record.trial)
    starts = [datetime.fromisoformat(record.started).timestamp() for record in trials]
    seconds = max(start + record.seconds for start, record in zip(starts, trials, strict=True)) - min(starts)
    unit, name = (1, "seconds") if seconds < 200 else (60, "minutes") if seconds < 3 * 3600 else (3600, "hours")
    brackets = sorted({record.bracket for record in trials})
    colours = {bracket: _BRACKET_COLOURS[bracket % len(_BRACKET_COLOURS)] for bracket in brackets}
    figure = new_figure(max(3.2, 1.6 + 0.15 * len(trials)))
    axes = figure.subplots()
    for row, (start, record) in enumerate(zip(starts, trials, strict=True)):
        failed, colour = record.status == "failed", colours[record.bracket]
        axes.barh(
            row,
            record.seconds / unit,
            left=(start - min(starts)) / unit,
            height=0.78,
            color="white" if failed else colour,
            edgecolor=colour,
            hatch="////" if failed else None,
            alpha=1.0 if failed else 0.55 + 0.45 * min(record.rung, 2) / 2,
        )
    dress(axes, title=f"Timeline: {len(trials)} trials", x=f"{name} since the first start", y="trial", grid="x")
    axes.set_ylim(len(trials) - 0.4, -0.6)
    step = max(1, -(-len(trials) // 16))
    axes.set_yticks(range(0, len(trials), step), [str(trials[row].trial) for row in range(0, len(trials), step)])
    axes.tick_params(axis="y", labelsize=NOTE)
    handles = [Patch(facecolor=colour, label=f"bracket {bracket}") for bracket, colour in colours.items()]
    if any(record.status == "failed" for record in trials):
        handles.append(Patch(facecolor="white", edgecolor=FAINT, hatch="////", label="failed"))
    legend(figure, handles, columns=3)
    return figure
