"""Plots of optuna's of a study, in the dress of this project's figures.

What is drawn where is optuna's; its titles, colours, fonts and ticks are changed, because its matplotlib backend lets
labels of log axes overlap, writes numbers that are not the trials' own, and hides the weakest trials in white. In which
order the hyperparameters stand is optuna's too, so their names are read from its labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.figures.style import ACCENT, CONTRAST, INK, LABEL, NOTE, TITLE, dress
from reports.search_plots.optuna_study import quiet_optuna
from reports.search_plots.space import Dimension

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

OBJECTIVE_NAME = "macro one-vs-rest AUC"


@contextmanager
def optuna_plots() -> Iterator[Any]:
    """optuna.visualization.matplotlib, with what it changes in pyplot put back afterwards.

    It draws through pyplot and switches the style of the whole process; neither must be seen by who called.

    Raises:
        MissingOptunaError: If optuna is not installed.
    """
    import matplotlib

    backend = matplotlib.get_backend(auto_select=False)
    with quiet_optuna() as optuna, matplotlib.rc_context():
        from matplotlib import pyplot

        before = set(pyplot.get_fignums())
        pyplot.switch_backend("agg")
        try:
            yield optuna.visualization.matplotlib
        finally:
            for number in set(pyplot.get_fignums()) - before:
                pyplot.close(number)
            if backend is not None:
                pyplot.switch_backend(backend)


def draw_history(plots: Any, study: Any, trials: Sequence[int], about: str) -> Figure:
    """Objectives in the order of the trials, and the best so far.

    Args:
        plots: From `optuna_plots`.
        study: The study of one budget.
        trials: The trials' numbers, in the order of the study's trials.
        about: What was compared, for the title.
    """
    axes = plots.plot_optimization_history(study, target_name=OBJECTIVE_NAME)
    figure = _resized(axes, 7.2, 4.4)
    _dressed(axes, title=f"History: {about}", x="trial", y=OBJECTIVE_NAME)
    axes.get_legend().remove()
    axes.collections[0].set(color=ACCENT, sizes=[38], label="objective", zorder=3)
    for points in axes.collections[1:]:
        points.set_label("_infeasible")  # a kind of trial that is not known here
    for line in axes.lines:
        line.set(color=CONTRAST, drawstyle="steps-post", linewidth=2, alpha=1, label="best so far")
    step = max(1, -(-len(trials) // 15))
    places = range(0, len(trials), step)
    axes.set_xticks(places, [str(trials[place]) for place in places])
    figure.legend(loc="outside lower center", ncols=2, fontsize=NOTE, frameon=False)
    return figure


def draw_parallel_coordinates(plots: Any, study: Any, space: Sequence[Dimension], about: str) -> Figure:
    """A line a trial through its objective and its hyperparameters; the darker, the better.

    Args:
        plots: From `optuna_plots`.
        study: The study of one budget.
        space: The hyperparameters to show.
        about: What was compared, for the title.
    """
    import matplotlib
    from matplotlib.colors import ListedColormap

    axes = plots.plot_parallel_coordinate(study, [d.name for d in space], target_name=OBJECTIVE_NAME)
    figure = _resized(axes, 8.4, 4.2, constrained=False)
    # optuna gives the colour bar a grid that the constrained layout cannot solve.
    figure.subplots_adjust(left=0.07, right=1.0, bottom=0.12, top=0.88)
    axes.set_title("")
    axes.set_title(f"Parallel coordinates: {about}", fontsize=TITLE, color=INK, loc="left", pad=16)
    (lines,) = axes.collections
    lines.set_cmap(ListedColormap(matplotlib.colormaps["Blues"](np.linspace(0.3, 1, 256))))
    lines.set_linewidth(2)
    order = _in_order(space, [label.get_text() for label in axes.get_xticklabels()[1:]])
    names = ["objective", *(_words(dimension.name) for dimension in order)]
    axes.set_xticks(range(len(names)), names, rotation=0, fontsize=LABEL - 0.5, color=INK)
    axes.tick_params(axis="x", length=0, pad=8)
    bar, *scales = [other for other in figure.axes if other is not axes]
    bar.set_ylabel("objective", fontsize=NOTE, color=INK)
    bar.tick_params(labelsize=NOTE)
    for scale, dimension in zip(scales, order, strict=True):
        _mark(scale.yaxis, dimension)
    for scale in (axes, *scales):
        scale.tick_params(axis="y", which="both", labelsize=NOTE, colors=INK)
        scale.set_zorder(3)
        scale.patch.set_visible(False)
        for label in scale.get_yticklabels():
            # The lines run through the numbers.
            label.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6})
    return figure


def draw_slice(plots: Any, study: Any, space: Sequence[Dimension], about: str) -> Figure:
    """The objective against each hyperparameter, over the whole of its range.

    Args:
        plots: From `optuna_plots`.
        study: The study of one budget.
        space: The hyperparameters to show.
        about: What was compared, for the title.
    """
    from matplotlib.gridspec import GridSpec

    panels: Any = np.atleast_1d(plots.plot_slice(study, [d.name for d in space], target_name=OBJECTIVE_NAME))
    columns = min(3, len(space))
    rows = -(-len(space) // columns)
    figure = _emptied(panels, max(6.4, 2.3 * columns), 1.0 + 2.4 * rows, f"Slices: {about}")
    grid = GridSpec(rows, columns, figure=figure)
    best = max(range(len(study.trials)), key=lambda number: study.trials[number].value)
    order = _in_order(space, [axes.get_xlabel() for axes in panels])
    for place, (axes, dimension) in enumerate(zip(panels, order, strict=True)):
        axes.set_subplotspec(grid[place // columns, place % columns])
        left = place % columns == 0
        _dressed(axes, title="", x=_words(dimension.name), y=OBJECTIVE_NAME if left else "")
        axes.tick_params(labelbottom=True, labelleft=left)
        _span_and_mark(axes.xaxis, dimension)
        points = axes.collections[0]
        # By value: where the scale is discrete, optuna orders the points by it.
        heights = np.asarray(points.get_offsets())[:, 1]
        points.set(array=None, facecolor=[CONTRAST if y == study.trials[best].value else ACCENT for y in heights])
        points.set(edgecolor="white", sizes=[52], linewidth=0.8)
    return figure


def draw_rank(plots: Any, study: Any, space: Sequence[Dimension], about: str) -> Figure:
    """Each pair of hyperparameters, the trials coloured by the rank of their objective.

    Args:
        plots: From `optuna_plots`.
        study: The study of one budget.
        space: Two hyperparameters or more.
        about: What was compared, for the title.
    """
    from matplotlib.gridspec import GridSpec

    panels: Any = np.atleast_2d(plots.plot_rank(study, [d.name for d in space], target_name=OBJECTIVE_NAME))
    side = len(space) - 1
    figure = _emptied(panels, 1.8 + 1.8 * side, 0.9 + 1.6 * side, f"Ranks: {about}")
    across = _in_order(space, [axes.get_xlabel() for axes in panels[-1]])
    down = _in_order(space, [axes.get_ylabel() for axes in panels[:, 0]])
    grid = GridSpec(side, side, figure=figure)
    kept = []
    for row, column in np.ndindex(panels.shape):
        axes = panels[row, column]
        # With two hyperparameters there is one panel. Of more, what stands above the diagonal stands below it too, and
        # on it nothing that the slices do not show.
        if side > 1 and column >= row:
            axes.remove()
            continue
        top = 1 if side > 1 else 0
        bottom, left = row == len(down) - 1, column == 0
        axes.set_subplotspec(grid[row - top, column])
        x, y = across[column], down[row]
        _dressed(axes, title="", x=_words(x.name) if bottom else "", y=_words(y.name) if left else "")
        for axis, dimension in ((axes.xaxis, x), (axes.yaxis, y)):
            _span_and_mark(axis, dimension)
        axes.tick_params(labelbottom=bottom, labelleft=left)
        axes.collections[0].set(sizes=[42], edgecolor=INK, linewidth=0.5)
        kept.append(axes)
    _draw_rank_scale(figure, kept, [trial.value for trial in study.trials])
    return figure


def _draw_rank_scale(figure: Figure, panels: Sequence[Axes], scores: Sequence[float]) -> None:
    """A colour bar by rank, with the objectives at its ends and in its middle."""
    from matplotlib.cm import ScalarMappable

    # optuna's colours of ranks.
    bar = figure.colorbar(ScalarMappable(cmap="RdYlBu_r"), ax=list(panels), shrink=0.8, aspect=30, pad=0.02)
    words = zip(("worst", "median", "best"), np.quantile(scores, [0, 0.5, 1]), strict=True)
    bar.set_ticks([0, 0.5, 1], labels=[f"{word}\n{score:.3f}" for word, score in words])
    bar.ax.tick_params(labelsize=NOTE, colors=INK)
    bar.outline.set_visible(False)


def _in_order(space: Sequence[Dimension], names: Sequence[str]) -> list[Dimension]:
    by_name = {dimension.name: dimension for dimension in space}
    return [by_name[name] for name in names]


def _resized(axes: Axes, width: float, height: float, *, constrained: bool = True) -> Figure:
    figure: Figure = axes.get_figure()  # type: ignore[assignment]
    if constrained:
        figure.set_layout_engine("constrained")
    figure.set_size_inches(width, height)
    figure.set_facecolor("white")
    return figure


def _dressed(axes: Axes, *, title: str, x: str, y: str) -> None:
    axes.set_title("")  # optuna's, in the middle
    axes.set_facecolor("white")
    axes.spines[["left", "bottom"]].set_visible(True)
    dress(axes, title=title, x=x, y=y)
    axes.tick_params(which="minor", length=0)


def _mark(axis: Axis, dimension: Dimension) -> None:
    """Ticks that are readable: the choices of a discrete hyperparameter, whole decades of a log-scaled one."""
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator, MaxNLocator, NullFormatter, NullLocator

    if dimension.is_text:
        return
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    if dimension.choices:
        # Ticks outside of what is shown would widen it, and shift an axis against the lines that are drawn to it.
        low, high = sorted(axis.get_view_interval())
        shown = [choice for choice in dimension.choices if low <= float(choice) <= high]
        sparse = dimension.log and len(shown) > 4
        axis.set_ticks(shown, ["" if sparse and place % 2 else str(choice) for place, choice in enumerate(shown)])
    elif dimension.log:
        axis.set_major_locator(LogLocator(base=10, numticks=4))
        axis.set_major_formatter(LogFormatterSciNotation(base=10))
    else:
        axis.set_major_locator(MaxNLocator(4))


def _span_and_mark(axis: Axis, dimension: Dimension) -> None:
    """`_mark`, over the whole range of a hyperparameter, so that one sees where nothing was tried."""
    if dimension.is_text:
        return
    low, high = (np.log10(x) if dimension.log else x for x in (dimension.low, dimension.high))
    margin = 0.08 * (high - low)
    low, high = (10**x if dimension.log else x for x in (low - margin, high + margin))
    axis.set_view_interval(low, high, ignore=True)
    _mark(axis, dimension)


def _emptied(panels: np.ndarray, width: float, height: float, title: str) -> Figure:
    """The panels' figure, resized and titled, without optuna's colour bar of numbers that are not the trials' own."""
    figure = _resized(panels.flat[0], width, height)
    for axes in set(figure.axes) - set(panels.flat):
        axes.remove()
    figure.suptitle(title, fontsize=TITLE, color=INK, x=0.01, ha="left")
    return figure


def _words(name: str) -> str:
    return name.replace("_", " ")
