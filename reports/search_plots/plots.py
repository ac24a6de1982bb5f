"""Pictures of a search, as PNG files.

Two need matplotlib alone and cover all trials, for they show each at its own epochs: learning curves by rung, and the
timeline. The others are optuna's (history, parallel coordinates, slices, ranks) and the importances; each shows trials
of one budget only, because an objective after 4 epochs and one after 30 are different quantities.

Files: learning_curves.png, timeline.png, importance.png, and at each budget with enough trials history_E_epochs.png,
parallel_coordinates_E_epochs.png, slice_E_epochs.png, rank_E_epochs.png.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.figures.style import save, save_all
from reports.figures.trials import draw_learning_curves, draw_timeline
from reports.search_plots.importance import FEWEST_TRIALS as FEWEST_TO_ASK
from reports.search_plots.importance import compare_importances, draw_importance
from reports.search_plots.optuna_figures import (
    draw_history,
    draw_parallel_coordinates,
    draw_rank,
    draw_slice,
    optuna_plots,
)
from reports.search_plots.optuna_study import budgets, comparable_trials, require_optuna, study_at
from reports.search_plots.space import Dimension, covering
from reports.trials import TrialRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST_TRIALS = 4
"""Below, a plot of a budget would show a handful of points and suggest a pattern."""

_PANELS = 3

_COLOURS = 128
"""Enough for lines, points and their smooth edges."""


def write_plain_plots(records: Sequence[TrialRecord], directory: Path) -> dict[str, Path]:
    """Draw what matplotlib alone can.

    Args:
        records: All trials.
        directory: Where the PNG files go.

    Returns:
        Name to file: learning_curves (where a trial has curves) and timeline (where a trial has a start time).
    """
    figures: dict[str, Figure] = {}
    if any(record.curves for record in records):
        figures["learning_curves"] = draw_learning_curves(records)
    if any(record.started for record in records):
        figures["timeline"] = draw_timeline(records)
    return save_all(figures, directory, colours=_COLOURS)


def write_optuna_plots(
    records: Sequence[TrialRecord], dimensions: Sequence[Dimension], directory: Path, *, every_budget: bool = False
) -> dict[str, Path]:
    """Draw what optuna is needed for: the importances, and the plots of a budget.

    Args:
        records: All trials.
        dimensions: The space.
        directory: Where the PNG files go.
        every_budget: All budgets with at least `FEWEST_TRIALS` trials; else the largest of them alone.

    Returns:
        Name to file, as `write_budget_plots` and `write_importance_plot` name them.

    Raises:
        MissingOptunaError: If optuna is not installed.
    """
    require_optuna()
    shown = budgets(records, at_least=FEWEST_TRIALS)
    files: dict[str, Path] = {}
    for epochs in shown if every_budget else shown[:1]:
        files |= write_budget_plots(records, dimensions, epochs, directory)
    return files | write_importance_plot(records, dimensions, directory)


def write_budget_plots(
    records: Sequence[TrialRecord], dimensions: Sequence[Dimension], epochs: int, directory: Path
) -> dict[str, Path]:
    """Draw optuna's plots of the trials of one budget.

    Args:
        records: All trials; those of other budgets are left out.
        dimensions: The space.
        epochs: The budget.
        directory: Where the PNG files go.

    Returns:
        Name to file: history_E_epochs, parallel_coordinates_E_epochs, slice_E_epochs, rank_E_epochs; none where fewer
        than `FEWEST_TRIALS` trials can be compared or no hyperparameter has two values.

    Raises:
        MissingOptunaError: If optuna is not installed.
    """
    trials = comparable_trials(records, epochs)
    space = [dimension for dimension in covering(dimensions, records) if not dimension.is_fixed]
    if len(trials) < FEWEST_TRIALS or not space:
        return {}
    study = study_at(records, epochs, space)
    about = f"{len(trials)} trials of {epochs} epochs"
    drawings: dict[str, Callable[[Any], Figure]] = {
        "history": lambda plots: draw_history(plots, study, [record.trial for record in trials], about),
        "parallel_coordinates": lambda plots: draw_parallel_coordinates(plots, study, space, about),
        "slice": lambda plots: draw_slice(plots, study, space, about),
    }
    if len(space) > 1:
        drawings["rank"] = lambda plots: draw_rank(plots, study, space, about)
    files = {}
    for kind, draw in drawings.items():
        name = f"{kind}_{epochs}_epochs"
        with optuna_plots() as plots:
            files[name] = save(draw(plots), directory / f"{name}.png", colours=_COLOURS)
    return files


def write_importance_plot(
    records: Sequence[TrialRecord], dimensions: Sequence[Dimension], directory: Path
) -> dict[str, Path]:
    """Draw the importances, a panel a budget with enough trials, the three largest of them.

    Returns:
        importance to its file; none where no budget has enough trials.

    Raises:
        MissingOptunaError: If optuna is not installed.
    """
    shown = budgets(records, at_least=FEWEST_TO_ASK)[:_PANELS]
    found = [compare_importances(records, epochs, dimensions) for epochs in shown]
    comparisons = [comparison for comparison in found if comparison is not None]
    if not comparisons:
        return {}
    return {"importance": save(draw_importance(comparisons), directory / "importance.png", colours=_COLOURS)}
