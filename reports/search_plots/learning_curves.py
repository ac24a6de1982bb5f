"""Learning curves of a search: a panel a kind of bracket, a line a configuration, coloured by how far it got."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from reports.figures.style import CONTRAST, FAINT, INK, NOTE, dress, new_figure
from reports.trials import OBJECTIVE_CURVE, TrialRecord, best_run, ranked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_COLOURS = ("#dfe4e8", "#b9c3cc", "#8fb8d8", "#4a95c9", "#00527f")
"""From pale to strong: the longer a configuration was trained."""


def draw_learning_curves(records: Sequence[TrialRecord]) -> Figure:
    """Mean over the folds of the objective's curve, from the first epoch to where the configuration was stopped.

    Read from top to bottom at one epoch: there, all lines are the same quantity. Dotted lines are the ends of rungs,
    where the best go on; the winner is drawn thick.

    Args:
        records: All runs; those without curves are left out.
    """
    drawn = [record for record in records if record.curves.get(OBJECTIVE_CURVE)]
    # Brackets that start on the same number of epochs are repetitions of one kind.
    start = {record.bracket: record.epochs for record in sorted(drawn, key=lambda record: -record.rung)}
    kinds = sorted(set(start.values()))
    ends = sorted({record.epochs for record in drawn})
    winner = best_run(records) if ranked(records) else None
    columns = min(len(kinds), 3)
    rows = -(-len(kinds) // columns)
    figure = new_figure(max(6.4, 3.1 * columns), 1.3 + 2.9 * rows)
    panels = np.atleast_1d(figure.subplots(rows, columns, sharey=True, sharex=True, squeeze=False)).ravel()
    for axes, kind in zip(panels, kinds, strict=False):
        _draw_brackets(axes, [record for record in drawn if start[record.bracket] == kind], ends, winner)
        dress(axes, title=f"First rung: {kind} epoch{'s' if kind != 1 else ''}", x="", y="")
    for axes in panels[len(kinds) :]:
        axes.set_visible(False)
    for axes in panels[::columns]:
        axes.set_ylabel("macro AUC, mean of folds", fontsize=11, color=INK)
    for axes in panels[max(0, len(kinds) - columns) : len(kinds)]:
        axes.set_xlabel("epoch", fontsize=11, color=INK)
    handles = _legend(ends, winner)
    # Four entries in a row are wider than a figure of two panels, which would cut them off.
    across = min(len(handles), 4 if columns > 2 else 2)
    figure.legend(handles=handles, loc="outside lower center", ncols=across, fontsize=NOTE, frameon=False)
    return figure


def _draw_brackets(axes: Axes, runs: Sequence[TrialRecord], ends: Sequence[int], winner: TrialRecord | None) -> None:
    from matplotlib.ticker import MaxNLocator

    last = {}
    for record in sorted(runs, key=lambda record: record.rung):
        last[record.configuration] = record
    for record in sorted(last.values(), key=lambda record: record.rung):
        values = np.array(record.curves[OBJECTIVE_CURVE], dtype=np.float64).mean(axis=0)
        won = winner is not None and (record.configuration, record.bracket) == (winner.configuration, winner.bracket)
        axes.plot(
            np.arange(1, len(values) + 1),
            values,
            color=CONTRAST if won else _colour(ends, record.epochs),
            linewidth=2.6 if won else 1.6,
            # One epoch makes no line.
            marker="o" if len(values) <= 3 else None,
            markersize=4,
            zorder=5 if won else 2 + record.rung / 10,
        )
    for epochs in sorted({record.epochs for record in runs}):
        axes.axvline(epochs, color=FAINT, linestyle=":", linewidth=1.1, zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _colour(ends: Sequence[int], epochs: int) -> str:
    # Counted from the full budget, which is always the strongest.
    return _COLOURS[max(0, len(_COLOURS) - len(ends) + ends.index(epochs))]


def _legend(ends: Sequence[int], winner: TrialRecord | None) -> list[Line2D]:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=_colour(ends, epochs), linewidth=2, label=f"trained for {epochs} epochs")
        for epochs in ends
    ]
    if winner is not None:
        handles.append(Line2D([], [], color=CONTRAST, linewidth=2.6, label=f"winner, run {winner.trial}"))
    handles.append(Line2D([], [], color=FAINT, linestyle=":", label="end of a rung"))
    return handles
