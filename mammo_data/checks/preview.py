"""The contact sheet: all films small, with what the software made of them, for a look before the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import CaseTable, Finding
from mammo_data.errors import DataError
from mammo_data.files import write_whole
from mammo_data.preparation.breast import BreastRegion
from mammo_data.preparation.film_check import read_film
from mammo_data.sources.base import ImageSource, work_on_films

# Blue, green, red.
MASK_COLOUR = (200, 160, 0)
BOX_COLOUR = (90, 90, 90)
CLASS_COLOURS = ((90, 200, 90), (0, 190, 255), (60, 60, 255))
_CAPTION = 14
_GAP = 4


def contact_sheet(
    source: ImageSource,
    table: CaseTable,
    *,
    image_ids: Sequence[str] | None = None,
    side: int = 192,
    columns: int = 14,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.uint8], tuple[DataError, ...]]:
    """Draw films with the mask's outline, the crop box and the findings' circles.

    Args:
        source: The films.
        table: Their cases, findings in the films' pixels.
        image_ids: Which to draw, in this order; all by default.
        side: Of a thumbnail in pixels.
        columns: Thumbnails in a row.
        progress: Called with (films done, films in all).

    Returns:
        The sheet, uint8 [height, width, 3], blue first, and why the films are no films whose places in it are empty.

    Raises:
        DataError: A name is not in the table.
    """
    cases = {case.image_id: case for case in table.cases}
    wanted = tuple(cases) if image_ids is None else tuple(image_ids)
    for image_id in wanted:
        if image_id not in cases:
            raise DataError(
                expected=f"an image of {source.location}, such as {table.image_ids[0]}",
                found=repr(image_id),
                remedy="Name other images.",
            )
    columns = max(1, min(columns, len(wanted)))
    rows = -(-len(wanted) // columns)
    cell = (side + _CAPTION + _GAP, side + _GAP)
    sheet: NDArray[np.uint8] = np.full((rows * cell[0] + _GAP, columns * cell[1] + _GAP, 3), 30, np.uint8)
    places = {image_id: divmod(position, columns) for position, image_id in enumerate(wanted)}

    refused: dict[str, DataError] = {}

    def draw(image_id: str, data: bytes) -> None:
        if image_id not in places:
            return
        row, column = places[image_id]
        top, left = row * cell[0] + _GAP, column * cell[1] + _GAP
        case = cases[image_id]
        try:
            film, breast = read_film(data, image_id)
            sheet[top : top + side, left : left + side] = _thumbnail(
                film, breast, case.findings, table.class_names, side
            )
        except DataError as error:
            refused[image_id] = error
        colour = _class_colour(case.label, table.class_names)
        caption = f"{image_id[-16:]} {case.label}"
        where = (left, top + side + _CAPTION - 4)
        cv2.putText(sheet, caption, where, cv2.FONT_HERSHEY_SIMPLEX, 0.33, colour, 1, cv2.LINE_AA)

    work_on_films(source, draw, progress=progress)
    return sheet, tuple(refused[image_id] for image_id in wanted if image_id in refused)


def write_contact_sheet(sheet: NDArray[np.uint8], path: Path) -> Path:
    """Write a sheet as PNG.

    Raises:
        DataError: The file can't be written.
    """
    _, data = cv2.imencode(".png", sheet)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data.tobytes())
    except OSError as error:
        raise DataError(
            expected="a place to write the sheet",
            found=f"{error.strerror} at {path}",
            remedy="Make room, or name another file.",
        ) from error
    return path


def _thumbnail(
    film: NDArray[np.uint8],
    region: BreastRegion,
    findings: tuple[Finding, ...],
    class_names: tuple[str, ...],
    side: int,
) -> NDArray[np.uint8]:
    height, width = film.shape
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.cvtColor(cv2.resize(film, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    mask = cv2.resize(region.mask.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(small, contours, -1, MASK_COLOUR, 1)
    left, top, right, bottom = (round(edge * scale) for edge in region.box)
    cv2.rectangle(small, (left, top), (right - 1, bottom - 1), BOX_COLOUR, 1)
    for finding in findings:
        if finding.circle:
            x, y, radius = (round(value * scale) for value in finding.circle)
            colour = _class_colour(finding.severity, class_names)
            cv2.circle(small, (x, y), max(2, radius), colour, 1, cv2.LINE_AA)
    canvas: NDArray[np.uint8] = np.zeros((side, side, 3), np.uint8)
    canvas[: size[1], : size[0]] = small
    return canvas


def _class_colour(label: str, class_names: tuple[str, ...]) -> tuple[int, int, int]:
    position = class_names.index(label) if label in class_names else 0
    return CLASS_COLOURS[round(position * (len(CLASS_COLOURS) - 1) / max(1, len(class_names) - 1))]
