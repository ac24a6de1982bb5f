"""Was there enough: the best trial so far against the number of trials, the linear probe against that of women."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reports.figures.style import ACCENT, CONTRAST, FAINT, dress, new_figure, not_defined, write_note

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_enough(enough: Mapping[str, Any]) -> Figure:
    """A panel each for trials and women, with 95 % intervals as bands.

    Args:
        enough: The section of that name of metrics.json (`reports.evaluation.baselines`).
    """
    figure = new_figure(3.5)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, enough["by_trials"], "trials", CONTRAST, why="no full-budget trial")
    dress(left, title="Best trial so far", x="full-budget trials", y="macro AUC, out of fold")
    _draw(right, enough["by_patients"], "patients", ACCENT, why="too few women")
    dress(right, title="Linear probe", x="women in training", y="")
    left.xaxis.get_major_locator().set_params(integer=True)
    note = "Left: corrected for the choice (BBC-CV). Bands: 95 % intervals over patients"
    write_note(figure, note)
    return figure


def _draw(axes: Axes, points: Sequence[Mapping[str, Any]], across: str, colour: str, *, why: str) -> None:
    known = [point for point in points if point["macro_ovr_auc"]["lower"] is not None]
    if not known:
        not_defined(axes, why)
        return
    places = [point[across] for point in known]
    lower, value, upper = ([point["macro_ovr_auc"][key] for point in known] for key in ("lower", "value", "upper"))
    axes.fill_between(places, lower, upper, color=colour, alpha=0.15, linewidth=0)
    axes.plot(places, value, color=colour, marker="o", markersize=4.5, linewidth=1.8)
    axes.axhline(0.5, color=FAINT, linestyle=":", linewidth=1.2, zorder=0)
