"""When each run of a search was at work: a bar a run, coloured by bracket."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from reports.figures.style import CLASS_COLOURS, CONTRAST, FAINT, NOTE, dress, new_figure
from reports.trials import TrialRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BRACKET_COLOURS = tuple(colour for colour in CLASS_COLOURS if colour != CONTRAST)


def draw_timeline(records: Sequence[TrialRecord]) -> Figure:
    """Bars from start to end, the first run at the top, failed runs hatched; side by side where runs overlapped.

    The clock is taken from the first start; a gap of an interrupted search is a gap in the picture.

    Args:
        records: Runs; those without a start time are left out.
    """
    from matplotlib.patches import Patch

    runs = sorted((record for record in records if record.started), key=lambda record: record.trial)
    starts = [datetime.fromisoformat(record.started).timestamp() for record in runs]
    seconds = max(start + record.seconds for start, record in zip(starts, runs, strict=True)) - min(starts)
    unit, name = (1, "seconds") if seconds < 200 else (60, "minutes") if seconds < 3 * 3600 else (3600, "hours")
    figure = new_figure(7.2, max(3.2, 1.6 + 0.16 * len(runs)))
    axes = figure.subplots()
    for row, (start, record) in enumerate(zip(starts, runs, strict=True)):
        failed = record.status == "failed"
        axes.barh(
            row,
            record.seconds / unit,
            left=(start - min(starts)) / unit,
            height=0.78,
            color="white" if failed else _colour(record.bracket),
            edgecolor=_colour(record.bracket),
            hatch="////" if failed else None,
            alpha=1.0 if failed else 0.55 + 0.45 * min(record.rung, 2) / 2,
        )
    dress(axes, title=f"Timeline: {len(runs)} runs", x=f"{name} since the first start", y="run", grid="x")
    axes.set_ylim(len(runs) - 0.4, -0.6)
    step = max(1, -(-len(runs) // 20))
    axes.set_yticks(range(0, len(runs), step), [str(runs[row].trial) for row in range(0, len(runs), step)])
    axes.tick_params(axis="y", labelsize=NOTE)
    handles = [
        Patch(facecolor=_colour(bracket), label=f"bracket {bracket}")
        for bracket in sorted({record.bracket for record in runs})
    ]
    if any(record.status == "failed" for record in runs):
        handles.append(Patch(facecolor="white", edgecolor=FAINT, hatch="////", label="failed"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=NOTE, frameon=False)
    return figure


def _colour(bracket: int) -> str:
    return _BRACKET_COLOURS[bracket % len(_BRACKET_COLOURS)]
