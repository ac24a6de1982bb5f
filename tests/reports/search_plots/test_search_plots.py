from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reports.figures.trials import draw_learning_curves, draw_timeline
from reports.search_plots.importance import compare_importances, draw_importance
from reports.search_plots.optuna_figures import (
    draw_history,
    draw_parallel_coordinates,
    draw_rank,
    draw_slice,
    optuna_plots,
)
from reports.search_plots.optuna_study import comparable_trials, study_at
from reports.search_plots.plots import write_budget_plots, write_importance_plot, write_optuna_plots, write_plain_plots
from tests.support.comparing import size_of
from tests.support.simulated import SPACE, simulated_trials

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


def test_the_slices_show_each_hyperparameter_under_its_own_name_at_one_budget() -> None:
    runs = comparable_trials(TRIALS, 10)
    with optuna_plots() as plots:
        figure = draw_slice(plots, study_at(TRIALS, 10, SPACE), SPACE, "13 trials of 10 epochs")
        for dimension in SPACE:
            axes = axes_named(figure, dimension.name.replace("_", " "))
            drawn = np.asarray(axes.collections[0].get_offsets())
            expected = [(float(r.hyperparameters[dimension.name]), r.objective) for r in runs]
            np.testing.assert_allclose(sorted(map(tuple, drawn)), sorted(expected))
            low, high = axes.get_xlim()
            assert low <= dimension.low < dimension.high <= high
    assert len(figure.axes) == len(SPACE)


def test_parallel_coordinates_scale_each_line_to_its_own_axis() -> None:
    runs = comparable_trials(TRIALS, 30)
    with optuna_plots() as plots:
        figure = draw_parallel_coordinates(plots, study_at(TRIALS, 30, SPACE), SPACE, "10 trials of 30 epochs")
        main, _, *scales = figure.axes
        names = [label.get_text().replace(" ", "_") for label in main.get_xticklabels()]
        assert sorted(names[1:]) == sorted(dimension.name for dimension in SPACE)
        low, high = main.get_ylim()
        lines = main.collections[0].get_segments()
        for place, (name, axes) in enumerate(zip(names[1:], scales, strict=True), start=1):
            bottom, top = axes.get_ylim()
            shown = sorted((line[place][1] - low) / (high - low) for line in lines)
            values = np.array([float(record.hyperparameters[name]) for record in runs])
            if axes.get_yscale() == "log":
                bottom, top, values = np.log(bottom), np.log(top), np.log(values)
            np.testing.assert_allclose(shown, sorted((values - bottom) / (top - bottom)), atol=1e-9)


def test_ranks_show_each_pair_once_and_the_history_numbers_the_trials() -> None:
    runs = comparable_trials(TRIALS, 30)
    study = study_at(TRIALS, 30, SPACE)
    with optuna_plots() as plots:
        figure = draw_rank(plots, study, SPACE, "10 trials of 30 epochs")
        assert len(figure.axes) == len(SPACE) * (len(SPACE) - 1) // 2 + 1
        bottom_left = next(a for a in figure.axes if a.get_xlabel() and a.get_ylabel())
        x, y = bottom_left.get_xlabel().replace(" ", "_"), bottom_left.get_ylabel().replace(" ", "_")
        drawn = np.asarray(bottom_left.collections[0].get_offsets())
        np.testing.assert_allclose(drawn, [(r.hyperparameters[x], r.hyperparameters[y]) for r in runs])
        history = draw_history(plots, study, [record.run for record in runs], "10 trials of 30 epochs")
        (axes,) = history.axes
        assert [label.get_text() for label in axes.get_xticklabels()] == [str(record.run) for record in runs]
        np.testing.assert_allclose(axes.lines[0].get_ydata(), np.maximum.accumulate([r.objective for r in runs]))


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
    assert write_optuna_plots(few, SPACE, tmp_path) == {}
    assert write_importance_plot((), SPACE, tmp_path) == {}
    assert write_plain_plots((), tmp_path) == {}
    assert list(write_plain_plots([replace(TRIALS[7], started="")], tmp_path)) == []
    assert list(write_plain_plots(TRIALS[7:8], tmp_path)) == ["timeline"]
    one = [replace(r, hyperparameters={**TRIALS[0].hyperparameters, "dropout": r.run / 100}) for r in TRIALS[:6]]
    assert list(write_budget_plots(one, (), 4, tmp_path)) == [
        "history_4_epochs",
        "parallel_coordinates_4_epochs",
        "slice_4_epochs",
    ]
    text = [replace(r, hyperparameters={"a": "xyz"[r.run % 3], "b": r.run % 2}) for r in TRIALS[:6]]
    assert len(write_budget_plots(text, (), 4, tmp_path)) == 4


def test_drawing_leaves_pyplot_as_it_was() -> None:
    import matplotlib
    from matplotlib import pyplot

    backend = matplotlib.get_backend()
    pyplot.switch_backend("svg")
    mine = pyplot.figure()
    try:
        before = dict(matplotlib.rcParams)
        with optuna_plots() as plots:
            draw_slice(plots, study_at(TRIALS, 30, SPACE), SPACE, "10 trials of 30 epochs")
            assert matplotlib.get_backend() == "agg"
        assert dict(matplotlib.rcParams) == before
        assert pyplot.get_fignums() == [mine.number]
        assert matplotlib.get_backend() == "svg"
    finally:
        pyplot.close(mine)
        pyplot.switch_backend(backend)
