"""Style that all figures share: colours, type sizes, axes; and writing them to a file.

Figures are made through matplotlib's object-oriented interface with the Agg canvas: pyplot would choose a GUI backend
and keep global state, and neither belongs in a library that runs on servers and in threads.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.9
"""Inches of every figure; 980 pixels at 200 dpi."""

DOTS_PER_INCH = 200

TITLE, LABEL, TICK, NOTE = 12.0, 11.0, 10.0, 9.5
"""Type sizes in points at `WIDTH`; at half a page, 8 cm, the smallest is still 6 points high."""

_LETTERS_PER_INCH = 12
"""Of a note, on average."""

INK, FAINT, GRID = "#1b2530", "#5b6875", "#dfe4e8"

CLASS_COLOURS = ("#0072b2", "#e69f00", "#882255", "#009e73", "#56b4e9", "#5b6875")
"""Blue, orange, wine: apart in hue and in lightness under the three kinds of colour blindness (blue, orange and the
greens from Okabe & Ito 2008, wine from Tol's muted scheme)."""

CLASS_LINES = ("-", (0, (6, 2)), (0, (2, 1.5)), "-.", "-", "--")
"""A second sign beside the colour, for print in grey."""

ACCENT, CONTRAST = CLASS_COLOURS[0], CLASS_COLOURS[2]


def class_colour(index: int) -> str:
    """Colour of a class, the same in every figure."""
    return CLASS_COLOURS[index % len(CLASS_COLOURS)]


def new_figure(height: float) -> Figure:
    """An empty figure, `WIDTH` wide, with room made for its labels.

    Args:
        height: In inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Axes, *, title: str, x: str, y: str, grid: str | None = "both") -> None:
    """Title, axis labels, type sizes, and no more lines than are needed."""
    axes.set_title(title, fontsize=TITLE, color=INK, loc="left", pad=10)
    axes.set_xlabel(x, fontsize=LABEL, color=INK)
    axes.set_ylabel(y, fontsize=LABEL, color=INK)
    axes.tick_params(labelsize=TICK, colors=INK, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    if grid:
        axes.grid(visible=True, axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]
        axes.set_axisbelow(True)


def legend(figure: Figure, handles: Sequence[Any] | None = None, *, above: bool = False, columns: int = 2) -> None:
    """A legend outside of all axes, where it covers nothing.

    Args:
        figure: Its axes have labelled artists.
        handles: What to list; None for all labelled artists.
        above: At the top, for a figure that has a note at its foot.
        columns: How many entries stand side by side.
    """
    place: Any = f"outside {'upper' if above else 'lower'} center"
    shown = {} if handles is None else {"handles": handles}
    figure.legend(loc=place, ncols=columns, fontsize=NOTE, frameon=False, **shown)


def write_note(figure: Figure, text: str) -> None:
    """A line below all axes, or as many as the figure's width asks for."""
    figure.supxlabel(textwrap.fill(text, int(WIDTH * _LETTERS_PER_INCH)), fontsize=NOTE, color=FAINT)


def not_defined(axes: Axes, why: str) -> None:
    """Says in the empty axes why there is nothing to see."""
    text = f"not defined:\n{why}"
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=LABEL, color=FAINT)


def save(figure: Figure, path: Path, *, colours: int | None = None) -> Path:
    """Writes a PNG of `DOTS_PER_INCH`; the same figure gives the same bytes.

    Args:
        figure: From `new_figure`.
        path: The file.
        colours: Size of the palette, for a drawing of lines and points, whose file it makes several times smaller;
            None for all colours.

    Returns:
        ``path``.
    """
    stream = io.BytesIO()
    # Without the library's version in the file, only a changed picture changes the file.
    figure.savefig(stream, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return write_atomically(path, _with_palette(stream, colours) if colours else stream.getvalue())


def save_all(figures: Mapping[str, Figure], directory: Path, *, colours: int | None = None) -> dict[str, Path]:
    """`save` for several figures, by name: name to file, in their order."""
    return {name: save(figure, directory / f"{name}.png", colours=colours) for name, figure in figures.items()}


def _with_palette(png: io.BytesIO, colours: int) -> bytes:
    from PIL import Image

    smaller = io.BytesIO()
    with Image.open(png) as picture:
        picture.convert("RGB").quantize(colours, dither=Image.Dither.NONE).save(smaller, format="png", optimize=True)
    return smaller.getvalue()
