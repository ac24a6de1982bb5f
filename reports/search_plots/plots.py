"""Pictures of a search, as PNG files.

Two cover all trials, for they show each at its own epochs: learning curves by rung, and the timeline. The others
(history, parallel coordinates, slices, ranks, and the importances) show trials of one budget only, because an objective
after 4 epochs and one after 30 are different quantities. The importances alone need optuna.

Files: learning_curves.png, timeline.png, importance.png, and at each budget with enough trials history_E_epochs.png,
parallel_coordinates_E_epochs.png, slice_E_epochs.png, rank_E_epochs.png.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reports.figures.style import save, save_all
from reports.figures.trials import draw_learning_curves, draw_timeline
from reports.page.report_figures import FEWEST_WEIGHED
from reports.search_plots.budget_figures import draw_history, draw_parallel_coordinates, draw_rank, draw_slice
from reports.search_plots.importance import compare_importances, draw_importance
from reports.search_plots.optuna_study import budgets, comparable_trials, has_optuna
from reports.search_plots.space import Dimension, covering
from reports.trials import TrialRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST_TRIALS = 4
"""Below, a plot of a budget would show a handful of points and suggest a pattern."""

_PANELS = 3

_COLOURS = 128
"""Enough for lines, points and their smooth edges."""


def write_search_plots(
    records: Sequence[TrialRecord], dimensions: Sequence[Dimension], directory: Path, *, every_budget: bool = False
) -> dict[str, Path]:
    """Draw all that is known of a search; importances only where optuna is installed.

    Args:
        records: All trials.
        dimensions: The space.
        directory: Where the PNG files go.
        every_budget: All budgets with at least `FEWEST_TRIALS` trials; else the largest of them alone.

    Returns:
        Name to file, as the functions below name them.
    """
    files = write_plain_plots(records, directory)
    shown = budgets(records, at_least=FEWEST_TRIALS)
    for epochs in shown if every_budget else shown[:1]:
        files |= write_budget_plots(records, dimensions, epochs, directory)
    return files | (write_importance_plot(records, dimensions, directory) if has_optuna() else {})


def write_plain_plots(records: Sequence[TrialRecord], directory: Path) -> dict[str, Path]:
    """Draw what covers all trials.

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


def write_budget_plots(
    records: Sequence[TrialRecord], dimensions: Sequence[Dimension], epochs: int, directory: Path
) -> dict[str, Path]:
    """Draw the trials of one budget.

    Args:
        records: All trials; those of other budgets are left out.
        dimensions: The space.
        epochs: The budget.
        directory: Where the PNG files go.

    Returns:
        Name to file: history_E_epochs, parallel_coordinates_E_epochs, slice_E_epochs, rank_E_epochs; none where fewer
        than `FEWEST_TRIALS` trials can be compared or no hyperparameter has two values.
    """
    trials = comparable_trials(records, epochs)
    space = [
        dimension
        for dimension in covering(dimensions, records)
        if not dimension.is_fixed and all(dimension.name in record.hyperparameters for record in trials)
    ]
    if len(trials) < FEWEST_TRIALS or not space:
        return {}
    about = f"{len(trials)} trials of {epochs} epochs"
    figures = {
        "history": draw_history(trials, about),
        "parallel_coordinates": draw_parallel_coordinates(trials, space, about),
        "slice": draw_slice(trials, space, about),
    }
    if len(space) > 1:
        figures["rank"] = draw_rank(trials, space, about)
    named = {f"{kind}_{epochs}_epochs": figure for kind, figure in figures.items()}
    return save_all(named, directory, colours=_COLOURS)


def write_importance_plot(
    records: Sequence[TrialRecord], dimensions: Sequence[Dimension], directory: Path
) -> dict[str, Path]:
    """Draw the importances, a panel a budget with enough trials, the three largest of them.

    Returns:
        importance to its file; none where no budget has enough trials.

    Raises:
        MissingOptunaError: If optuna is not installed.
    """
    shown = budgets(records, at_least=FEWEST_WEIGHED)[:_PANELS]
    found = [compare_importances(records, epochs, dimensions) for epochs in shown]
    comparisons = [comparison for comparison in found if comparison is not None]
    if not comparisons:
        return {}
    return {"importance": save(draw_importance(comparisons), directory / "importance.png", colours=_COLOURS)}
