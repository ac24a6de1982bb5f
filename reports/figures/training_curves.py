"""The winner's training: loss, AUC and balanced accuracy over the epochs, with the spread over the folds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reports.figures.style import ACCENT, CONTRAST, FAINT, INK, NOTE, dress, new_figure
from reports.trials import TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = (
    ("Loss", (("loss", "training", ACCENT), ("val_loss", "validation", CONTRAST))),
    ("Macro one-vs-rest AUC", (("val_macro_auc", "validation", CONTRAST),)),
    ("Balanced accuracy", (("val_balanced_accuracy", "validation", CONTRAST),)),
)


def draw_training_curves(record: TrialRecord) -> Figure:
    """Mean over the folds as a line, smallest to largest fold as a band, the chosen epoch as a mark.

    Args:
        record: A run with curves; panels whose curves it does not have are left out.
    """
    panels = [
        (title, [line for line in lines if record.curves.get(line[0])])
        for title, lines in PANELS
        if any(record.curves.get(name) for name, *_ in lines)
    ]
    figure = new_figure(6.8, 1.0 + 2.35 * len(panels))
    folds = max(len(curve) for curve in record.curves.values())
    for axes, (title, lines) in zip(np.atleast_1d(figure.subplots(len(panels), sharex=True)), panels, strict=True):
        for name, label, colour in lines:
            _draw_curve(axes, record.curves[name], label, colour)
        if record.best_epoch is not None:
            axes.axvline(record.best_epoch, color=FAINT, linestyle=":", linewidth=1.4, zorder=1)
        dress(axes, title=title, x="", y="")
        if len(lines) > 1:
            axes.legend(loc="upper right", fontsize=NOTE + 0.5, frameon=True, framealpha=0.9, edgecolor="none")
    axes.set_xlim(0.5, record.epochs + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epoch", fontsize=11.5, color=INK)
    about = f"Run {record.trial}: mean of {folds} folds, band from the lowest to the highest fold"
    if folds == 1:
        about = f"Run {record.trial}: one validation fold"
    if record.best_epoch is not None:
        about += f"; dotted: chosen epoch {record.best_epoch}"
    figure.supxlabel(about, fontsize=NOTE, color=FAINT)
    return figure


def _draw_curve(axes: Axes, folds: tuple[tuple[float, ...], ...], label: str, colour: str) -> None:
    values = np.array(folds, dtype=np.float64)
    epochs = np.arange(1, values.shape[1] + 1)
    # A few epochs make a line of few corners; marks show that there is no more to see.
    marker = "o" if len(epochs) <= 12 else None
    axes.plot(epochs, values.mean(axis=0), color=colour, linewidth=2, marker=marker, markersize=4, label=label)
    if len(values) > 1:
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18, linewidth=0)
