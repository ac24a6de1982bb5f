"""Figures of the trials of one budget: history, parallel coordinates, slices, ranks.

They are those of optuna's that people know. They are drawn here, because optuna's show the part of a range that trials
have covered, not the range that was searched, and do not tell the best trial from the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reports.figures.style import ACCENT, CONTRAST, FAINT, INK, LABEL, NOTE, TITLE, dress, legend, new_figure
from reports.search_plots.space import Dimension
from reports.trials import TrialRecord, best_trial

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

OBJECTIVE = "macro AUC"
_MARGIN = 0.07
"""Of an axis beyond its range, so that points at its ends are whole."""


def draw_history(trials: Sequence[TrialRecord], about: str) -> Figure:
    """Objectives in the order of the trials, and the best so far.

    Args:
        trials: Comparable trials of one budget, in their order; of the other functions too.
        about: What they are, for the title.
    """
    figure = new_figure(3.9)
    axes = figure.subplots()
    scores = _scores(trials)
    axes.step(range(len(trials)), np.maximum.accumulate(scores), color=CONTRAST, where="post", label="best so far")
    axes.scatter(range(len(trials)), scores, s=34, color=ACCENT, edgecolor="white", zorder=3, label="objective")
    dress(axes, title=f"History: {about}", x="trial", y=OBJECTIVE)
    places = range(0, len(trials), -(-len(trials) // 12))
    axes.set_xticks(places, [str(trials[place].trial) for place in places])
    legend(figure)
    return figure


def draw_parallel_coordinates(trials: Sequence[TrialRecord], space: Sequence[Dimension], about: str) -> Figure:
    """A line a trial through its objective and its hyperparameters, each over the whole range that was searched.

    Args:
        trials: The trials; the better, the darker, and the best in a colour of its own.
        space: The hyperparameters, all of which each trial has.
        about: As above.
    """
    import matplotlib
    from matplotlib.lines import Line2D

    figure = new_figure(4.3)
    axes = figure.subplots()
    best, scores = best_trial(trials), _scores(trials)
    low, high = float(scores.min()), float(scores.max())
    objective = Dimension("objective", low, high) if high > low else Dimension("objective", low - 0.5, high + 0.5)
    dimensions = (objective, *space)
    shades = matplotlib.colormaps["Blues"](0.3 + 0.6 * np.array([objective.position(score) for score in scores]))
    for record, score, shade in zip(trials, scores, shades, strict=True):
        heights = [objective.position(score), *(each.position(record.hyperparameters[each.name]) for each in space)]
        won = record is best
        axes.plot(heights, color=CONTRAST if won else shade, linewidth=2.8 if won else 1.5, zorder=4 if won else score)
    for place, dimension in enumerate(dimensions):
        axes.axvline(place, color=FAINT, linewidth=0.9, zorder=0)
        for height, text in dimension.ticks():
            # Beside its axis, on a ground of its own: the lines run through it.
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
            axes.text(place - 0.04, height, text, ha="right", va="center", fontsize=NOTE, color=INK, bbox=box, zorder=5)
    dress(axes, title=f"Parallel coordinates: {about}", x="", y="", grid=None)
    axes.set_xticks(range(len(dimensions)), [_words(each.name, "\n") for each in dimensions], fontsize=NOTE, color=INK)
    axes.tick_params(axis="x", length=0)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set(xlim=(-0.55, len(dimensions) - 0.9), ylim=(-0.04, 1.04))
    handles = [
        Line2D([], [], color=CONTRAST, linewidth=2.8, label=f"best, trial {best.trial}"),
        Line2D([], [], color=matplotlib.colormaps["Blues"](0.8), label="others; the darker, the better"),
    ]
    legend(figure, handles)
    return figure


def draw_slice(trials: Sequence[TrialRecord], space: Sequence[Dimension], about: str) -> Figure:
    """The objective against each hyperparameter, over the whole of its range: one sees where nothing was tried.

    Args:
        trials: The trials.
        space: The hyperparameters, all of which each trial has.
        about: As above.
    """
    columns = min(2, len(space))
    rows = -(-len(space) // columns)
    figure = new_figure(1.1 + 1.75 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    best, scores = best_trial(trials), _scores(trials)
    for axes, dimension in zip(panels, space, strict=False):
        places = _positions(trials, dimension)
        axes.scatter(places, scores, s=34, color=ACCENT, edgecolor="white", linewidth=0.7)
        won = [record is best for record in trials]
        axes.scatter(places[won], scores[won], s=70, color=CONTRAST, edgecolor="white", marker="D", zorder=3)
        dress(axes, title="", x=_words(dimension.name), y="")
        axes.set_xlim(-_MARGIN, 1 + _MARGIN)
        _mark(axes.xaxis, dimension, 5)
    for axes in panels[::columns]:
        axes.set_ylabel(OBJECTIVE, fontsize=LABEL, color=INK)
    for axes in panels[len(space) :]:
        axes.set_visible(False)
    figure.suptitle(f"Slices: {about}", fontsize=TITLE, color=INK, x=0.01, ha="left")
    panels[0].collections[0].set_label("trials")
    panels[0].collections[1].set_label(f"best, trial {best.trial}")
    legend(figure)
    return figure


def draw_rank(trials: Sequence[TrialRecord], space: Sequence[Dimension], about: str) -> Figure:
    """Each pair of hyperparameters once, the trials coloured by the rank of their objective.

    Args:
        trials: Two trials or more.
        space: Two hyperparameters or more, all of which each trial has.
        about: As above.
    """
    from matplotlib.cm import ScalarMappable

    side = len(space) - 1
    figure = new_figure(1.9 + 0.8 * max(side, 2))
    panels = figure.subplots(side, side, sharex="col", sharey="row", squeeze=False)
    scores = _scores(trials)
    ranks = np.searchsorted(np.sort(scores), scores) / (len(scores) - 1)
    # The best are drawn last, on top.
    order = np.argsort(scores)
    for (row, column), axes in np.ndenumerate(panels):
        if column > row:
            axes.remove()
            continue
        across, down = space[column], space[row + 1]
        x, y = (_positions(trials, dimension)[order] for dimension in (across, down))
        axes.scatter(x, y, s=30, c=ranks[order], cmap="RdYlBu_r", vmin=0, vmax=1, edgecolor=INK, linewidth=0.5)
        bottom, left = row == side - 1, column == 0
        dress(axes, title="", x=_words(across.name, "\n") if bottom else "", y=_words(down.name, "\n") if left else "")
        axes.set(xlim=(-2 * _MARGIN, 1 + 2 * _MARGIN), ylim=(-2 * _MARGIN, 1 + 2 * _MARGIN))
        _mark(axes.xaxis, across, 2)
        _mark(axes.yaxis, down, 3)
        axes.tick_params(labelbottom=bottom, labelleft=left, labelsize=NOTE)
        axes.xaxis.label.set_size(NOTE)
        axes.yaxis.label.set_size(NOTE)
    kept: Any = figure.axes
    bar = figure.colorbar(ScalarMappable(cmap="RdYlBu_r"), ax=kept, location="bottom", shrink=0.8, aspect=40, pad=0.02)
    words = zip(("worst", "median", "best"), np.quantile(scores, [0, 0.5, 1]), strict=True)
    bar.set_ticks([0, 0.5, 1], labels=[f"{word} {score:.3f}" for word, score in words])
    bar.ax.tick_params(labelsize=NOTE, colors=INK)
    bar.outline.set_visible(False)
    figure.suptitle(f"Ranks: {about}", fontsize=TITLE, color=INK, x=0.01, ha="left")
    return figure


def _scores(trials: Sequence[TrialRecord]) -> NDArray[np.float64]:
    return np.array([record.objective for record in trials], dtype=np.float64)


def _positions(trials: Sequence[TrialRecord], dimension: Dimension) -> NDArray[np.float64]:
    return np.array([dimension.position(record.hyperparameters[dimension.name]) for record in trials])


def _mark(axis: Axis, dimension: Dimension, most: int) -> None:
    places, labels = zip(*dimension.ticks(most), strict=True)
    axis.set_ticks(places, labels)


def _words(name: str, between: str = " ") -> str:
    return name.replace("_", between)
