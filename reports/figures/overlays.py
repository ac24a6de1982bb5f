"""Overlays: a prepared image with its annotated circles, and the same with the map of the evidence over it.

Drawn with Pillow, for a run has some twenty of them and a matplotlib figure takes as long as all of these together.
"""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reports.evaluation.localisation import Circle
from reports.files import write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont


SIDE = 480
"""Pixels of each of the two pictures."""
_BORDER = 12
_TITLE, _NOTE = 28, 27
"""Pixels of type: at half a page, 8 cm, 6 points high."""
_LINE = 36
_LETTERS = {_TITLE: 48, _NOTE: 58}
"""In a line, on average."""
_MOST_OPAQUE = 0.55
_CIRCLE = (0, 230, 255)
_INK, _FAINT = (27, 37, 48), (91, 104, 117)


@dataclass(frozen=True)
class Overlay:
    """What one overlay shows.

    Attributes:
        title: For example "mdb184: malignant, taken for normal (0.91)".
        note: A second line in smaller type.
        image: Prepared image, uint8 [S, S].
        cam: Map at the image's resolution, float32 [S, S] in 0 … 1.
        circles: In the image's pixels; may be none.
    """

    title: str
    note: str
    image: NDArray[np.uint8]
    cam: NDArray[np.float32]
    circles: tuple[Circle, ...]


def draw_overlay(overlay: Overlay) -> Image:
    """The two pictures side by side under their title."""
    from PIL import Image, ImageDraw

    title, note = textwrap.wrap(overlay.title, _LETTERS[_TITLE]), textwrap.wrap(overlay.note, _LETTERS[_NOTE])
    caption = 2 * _BORDER + (len(title) + len(note)) * _LINE
    canvas = Image.new("RGB", (2 * SIDE + 3 * _BORDER, SIDE + caption + _BORDER), "white")
    grey = np.repeat(overlay.image[..., None], 3, axis=-1).astype(np.float32)
    # As opaque as the evidence is strong: where there is none, the breast is seen as it is.
    opacity = (_MOST_OPAQUE * overlay.cam)[..., None]
    coloured = grey * (1 - opacity) + _colours(overlay.cam) * opacity
    scale = SIDE / overlay.image.shape[0]
    for position, pixels in enumerate((grey, coloured)):
        picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).resize(
            (SIDE, SIDE), Image.Resampling.LANCZOS
        )
        drawing = ImageDraw.Draw(picture)
        for x, y, radius in overlay.circles:
            # Coordinates name pixel centres, hence the half.
            across, down, half = (x + 0.5) * scale, (y + 0.5) * scale, max(radius * scale, 2.0)
            drawing.ellipse((across - half, down - half, across + half, down + half), outline=_CIRCLE, width=2)
        canvas.paste(picture, (_BORDER + position * (SIDE + _BORDER), caption))
    text = ImageDraw.Draw(canvas)
    lines = [(line, _font(_TITLE, bold=True), _INK) for line in title] + [(line, _font(_NOTE), _FAINT) for line in note]
    for row, (line, font, ink) in enumerate(lines):
        text.text((_BORDER, _BORDER + row * _LINE), line, font=font, fill=ink)
    return canvas


def write_overlay(overlay: Overlay, path: Path) -> Path:
    """Writes an overlay as PNG, atomically.

    Args:
        overlay: What to show.
        path: The file.

    Returns:
        ``path``.
    """
    stream = io.BytesIO()
    draw_overlay(overlay).save(stream, format="PNG")
    return write_atomically(path, stream.getvalue())


def _colours(cam: NDArray[np.float32]) -> NDArray[np.float32]:
    """The map in matplotlib's "inferno", float32 [S, S, 3] in 0 … 255: it grows lighter evenly and prints in grey."""
    return _table()[np.clip((cam * 255).round(), 0, 255).astype(np.int64)]


@cache
def _table() -> NDArray[np.float32]:
    import matplotlib

    return np.asarray(matplotlib.colormaps["inferno"](np.arange(256))[:, :3] * 255, dtype=np.float32)


@cache
def _font(size: int, *, bold: bool = False) -> FreeTypeFont:
    """matplotlib's own DejaVu Sans: Pillow carries no font with enough characters."""
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def on_canvas(cam: NDArray[np.float32], stride: int, size: int) -> NDArray[np.float32]:
    """A map at the image's resolution, float32 [size, size] in 0 … 1, linear between cell centres."""
    import cv2

    places = np.arange(size, dtype=np.float32) / stride
    columns, rows = np.meshgrid(places, places)
    spread = cv2.remap(cam.astype(np.float32), columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    highest = float(spread.max())
    return np.asarray(spread / highest if highest > 0 else spread, dtype=np.float32)
