from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reports.figures.style import CLASS_COLOURS
from reports.figures.write import write_figures
from reports.trials import best_trial
from tests.support.comparing import has_margins, size_of
from tests.support.simulated import simulated_predictions, simulated_trials


def test_every_figure_is_a_large_png_and_the_same_bytes_twice(tmp_path: Path) -> None:
    table, winner = simulated_predictions(), best_trial(simulated_trials())
    first = write_figures(table, winner, tmp_path / "a")
    second = write_figures(table, winner, tmp_path / "b")
    assert list(first) == ["roc", "confusion_matrix", "class_metrics", "training_curves"]
    for name, path in first.items():
        width, height = size_of(path)
        assert width >= 900
        assert height >= 600
        assert has_margins(path), name
        assert path.read_bytes() == second[name].read_bytes()


def test_missing_classes_missing_curves_and_single_folds_draw(tmp_path: Path) -> None:
    table = simulated_predictions()
    only_normal = table.take(np.flatnonzero(table.labels == 0))
    assert "training_curves" not in write_figures(only_normal, None, tmp_path)
    winner = best_trial(simulated_trials(folds=1))
    short = replace(winner, curves={"val_macro_auc": winner.curves["val_macro_auc"]})
    assert "training_curves" in write_figures(table, short, tmp_path)
    assert "training_curves" not in write_figures(table, replace(winner, curves={}), tmp_path)


def test_drawing_touches_no_global_state_and_no_gui(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from reports.figures.write import write_figures\n"
        "from reports.trials import best_trial\n"
        "from tests.support.simulated import simulated_predictions, simulated_trials\n"
        "assert 'matplotlib' not in sys.modules\n"
        "write_figures(simulated_predictions(), best_trial(simulated_trials()), Path(sys.argv[1]))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, cwd=Path(__file__).parents[3])


# Machado, Oliveira & Fernandes (IEEE TVCG 2009), severity 1, on linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


@pytest.mark.parametrize("kind", BLINDNESS)
def test_the_class_colours_stay_apart_for_colour_blind_readers(kind: str) -> None:
    colours = [lab(BLINDNESS[kind] @ linear(colour)) for colour in CLASS_COLOURS[:3]]
    distances = [np.linalg.norm(colours[i] - colours[j]) for i in range(3) for j in range(i)]
    assert min(distances) > 25  # a difference of 2.3 is just noticeable


def linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    relative = matrix @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(relative > 0.008856, np.cbrt(relative), 7.787 * relative + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
