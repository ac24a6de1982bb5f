from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from reports.figures.classification import draw_class_metrics, draw_confusion_matrix
from reports.figures.probabilities import draw_reliability
from reports.figures.roc import draw_roc
from reports.figures.style import CONTRAST
from reports.figures.trials import draw_learning_curves, draw_timeline
from reports.search_plots.budget_figures import draw_history, draw_parallel_coordinates, draw_rank, draw_slice
from reports.search_plots.importance import compare_importances, draw_importance
from reports.search_plots.optuna_study import comparable_trials
from reports.search_plots.plots import write_budget_plots, write_importance_plot, write_plain_plots, write_search_plots
from reports.search_plots.space import Dimension
from reports.trials import TrialRecord
from tests.support.comparing import size_of
from tests.support.simulated import SPACE, simulated_predictions, simulated_trials

MOST_BYTES = 150_000
TRIALS = simulated_trials()


def axes_named(figure, name: str):
    (found,) = [axes for axes in figure.axes if axes.get_xlabel() == name]
    return found


def test_files_are_small_pngs_the_same_bytes_twice_and_named_by_their_budget(tmp_path: Path) -> None:
    runs = [record for record in TRIALS if record.epochs == 30]
    first = write_plain_plots(TRIALS, tmp_path / "a") | write_budget_plots(TRIALS, SPACE, 30, tmp_path / "a")
    # The trials of other budgets change nothing.
    second = write_plain_plots(TRIALS, tmp_path / "b") | write_budget_plots(runs, SPACE, 30, tmp_path / "b")
    assert list(first) == [
        "learning_curves",
        "timeline",
        "history_30_epochs",
        "parallel_coordinates_30_epochs",
        "slice_30_epochs",
        "rank_30_epochs",
    ]
    for name, path in first.items():
        width, height = size_of(path)
        assert width >= 900
        assert height >= 450
        assert path.stat().st_size < MOST_BYTES
        assert path.read_bytes() == second[name].read_bytes()


def test_the_slices_show_each_hyperparameter_under_its_own_name_over_its_whole_range() -> None:
    runs = comparable_trials(TRIALS, 10)
    figure = draw_slice(runs, SPACE, "13 trials of 10 epochs")
    best = max(runs, key=lambda record: record.objective)
    for dimension in SPACE:
        axes = axes_named(figure, dimension.name.replace("_", " "))
        drawn, won = (np.asarray(points.get_offsets()) for points in axes.collections)
        expected = [(place_of(dimension, r), r.objective) for r in runs]
        np.testing.assert_allclose(sorted(map(tuple, drawn)), sorted(expected))
        np.testing.assert_allclose(won, [(place_of(dimension, best), best.objective)])
        low, high = axes.get_xlim()
        assert low < 0 < 1 < high
    rate = axes_named(figure, "learning rate")
    assert [label.get_text() for label in rate.get_xticklabels()] == ["1e-4", "1e-3", "1e-2", "1e-1"]
    np.testing.assert_allclose(rate.get_xticks(), [0, 1 / 3, 2 / 3, 1])


def place_of(dimension: Dimension, record: TrialRecord) -> float:
    """Where a value lies in what was searched, not in what trials have covered."""
    value = record.hyperparameters[dimension.name]
    if dimension.choices:
        return dimension.choices.index(value) / (len(dimension.choices) - 1)
    low, high, value = np.array([dimension.low, dimension.high, value], dtype=np.float64)
    if dimension.log:
        low, high, value = np.log(low), np.log(high), np.log(value)
    return float((value - low) / (high - low))


def test_parallel_coordinates_span_the_space_and_the_best_trial_has_a_colour_of_its_own() -> None:
    runs = comparable_trials(TRIALS, 30)
    (axes,) = draw_parallel_coordinates(runs, SPACE, "10 trials of 30 epochs").axes
    names = [label.get_text().replace("\n", "_") for label in axes.get_xticklabels()]
    assert names == ["objective", *(dimension.name for dimension in SPACE)]
    lines = [line for line in axes.lines if len(line.get_ydata()) == len(names)]
    scores = np.array([record.objective for record in runs])
    for line, record in zip(lines, runs, strict=True):
        heights = [(record.objective - scores.min()) / np.ptp(scores), *(place_of(each, record) for each in SPACE)]
        np.testing.assert_allclose(line.get_ydata(), heights, atol=1e-12)
        assert (to_hex(line.get_color()) == CONTRAST) == (record.objective == scores.max())


def test_ranks_show_each_pair_once_and_the_history_numbers_the_trials() -> None:
    runs = comparable_trials(TRIALS, 30)
    figure = draw_rank(runs, SPACE, "10 trials of 30 epochs")
    assert len(figure.axes) == len(SPACE) * (len(SPACE) - 1) // 2 + 1
    bottom_left = next(a for a in figure.axes if a.get_xlabel() and a.get_ylabel())
    x, y = (
        next(each for each in SPACE if each.name == name.replace("\n", "_"))
        for name in (bottom_left.get_xlabel(), bottom_left.get_ylabel())
    )
    drawn = np.asarray(bottom_left.collections[0].get_offsets())
    worst_first = sorted(runs, key=lambda record: record.objective)
    np.testing.assert_allclose(drawn, [(place_of(x, r), place_of(y, r)) for r in worst_first])
    np.testing.assert_allclose(bottom_left.collections[0].get_array(), np.linspace(0, 1, len(runs)))
    (axes,) = draw_history(runs, "10 trials of 30 epochs").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [str(record.trial) for record in runs]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), np.maximum.accumulate([r.objective for r in runs]))


def test_no_letter_is_smaller_than_six_points_where_a_figure_fills_half_a_page() -> None:
    trials = comparable_trials(TRIALS, 30)
    table = simulated_predictions()
    figures = [draw(trials, SPACE, "10 trials") for draw in (draw_parallel_coordinates, draw_slice, draw_rank)]
    figures += [draw_history(trials, "10 trials"), draw_learning_curves(TRIALS), draw_timeline(TRIALS)]
    figures += [draw_importance([compare_importances(TRIALS, 30, SPACE, shuffles=1)]), draw_roc(table)]
    figures += [draw_confusion_matrix(table), draw_class_metrics(table), draw_reliability(table, table)]
    for figure in figures:
        shown = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
        smallest = min(text.get_fontsize() for text in shown)
        assert smallest * (8 / 2.54) / figure.get_figwidth() >= 6


def test_learning_curves_have_a_panel_a_kind_of_bracket_and_a_line_a_configuration() -> None:
    figure = draw_learning_curves(TRIALS)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [f"First rung: {n} epochs" for n in (4, 10, 30)]
    solid = [sum(line.get_linestyle() == "-" for line in axes.lines) for axes in figure.axes]
    assert solid == [14, 8, 5]  # one of the first bracket's fifteen failed
    repeated = [replace(record, bracket=record.bracket + 3) for record in TRIALS]
    assert len(draw_learning_curves([*TRIALS, *repeated]).axes) == 3


def test_the_timeline_has_a_bar_a_run_where_it_was_at_work() -> None:
    (axes,) = draw_timeline(TRIALS).axes
    assert len(axes.patches) == len(TRIALS)
    assert axes.patches[5].get_x() == pytest.approx(5)
    assert axes.patches[5].get_width() == pytest.approx(TRIALS[5].seconds / 60)
    assert [bool(patch.get_hatch()) for patch in axes.patches].index(True) == 7


def test_the_importances_have_a_panel_a_budget_with_their_number_of_trials() -> None:
    found = [compare_importances(TRIALS, epochs, SPACE, shuffles=2) for epochs in (30, 4)]
    figure = draw_importance([comparison for comparison in found if comparison])
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Importance: 10 trials of 30 epochs", "Importance: 14 trials of 4 epochs"]
    assert all(len(axes.patches) == 2 * len(SPACE) for axes in figure.axes)


def test_too_little_draws_less_and_never_fails(tmp_path: Path) -> None:
    few = TRIALS[:3]
    assert list(write_search_plots(few, SPACE, tmp_path)) == ["learning_curves", "timeline"]
    assert write_importance_plot((), SPACE, tmp_path) == {}
    assert write_plain_plots((), tmp_path) == {}
    assert list(write_plain_plots([replace(TRIALS[7], started="")], tmp_path)) == []
    assert list(write_plain_plots(TRIALS[7:8], tmp_path)) == ["timeline"]
    one = [replace(r, hyperparameters={**TRIALS[0].hyperparameters, "dropout": r.trial / 100}) for r in TRIALS[:6]]
    assert list(write_budget_plots(one, (), 4, tmp_path)) == [
        "history_4_epochs",
        "parallel_coordinates_4_epochs",
        "slice_4_epochs",
    ]
    text = [replace(r, hyperparameters={"a": "xyz"[r.trial % 3], "b": r.trial % 2}) for r in TRIALS[:6]]
    assert len(write_budget_plots(text, (), 4, tmp_path)) == 4
