"""The contact sheet: all films or crops small, with what the software made of them, for a look before the work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import Case, CaseTable, Finding
from mammo_data.errors import DataError
from mammo_data.files import write_whole
from mammo_data.preparation.breast import BreastRegion
from mammo_data.preparation.film_check import read_film
from mammo_data.preparation.prepared import PreparedSet
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
            raise _no_image(image_id, source.location, table)
    sheet = _Sheet(len(wanted), side, columns, table.class_names)
    places = {image_id: position for position, image_id in enumerate(wanted)}
    refused: dict[str, DataError] = {}

    def draw(image_id: str, data: bytes) -> None:
        if image_id not in places:
            return
        case = cases[image_id]
        thumbnail = None
        try:
            film, breast = read_film(data, image_id)
            thumbnail = _film_thumbnail(film, breast, case.findings, table.class_names, side)
        except DataError as error:
            refused[image_id] = error
        sheet.put(places[image_id], thumbnail, case)

    work_on_films(source, draw, progress=progress)
    return sheet.pixels, tuple(refused[image_id] for image_id in wanted if image_id in refused)


def crop_sheet(
    crops: PreparedSet, *, image_ids: Sequence[str] | None = None, side: int = 192, columns: int = 14
) -> NDArray[np.uint8]:
    """Draw crops with the circles of their lesions.

    Args:
        crops: As `mammo_data.cut_regions` gives them.
        image_ids: Crops, or films whose crops are to be drawn, in this order; all by default.
        side: Of a thumbnail in pixels.
        columns: Thumbnails in a row.

    Returns:
        The sheet, uint8 [height, width, 3], blue first.

    Raises:
        DataError: There is no crop of that name, or of that film.
    """
    cases = crops.table.cases
    wanted = list(range(len(cases)))
    if image_ids is not None:
        wanted = [row for name in image_ids for row in _rows_of(crops.table, name)]
    sheet = _Sheet(len(wanted), side, columns, crops.table.class_names)
    for position, row in enumerate(wanted):
        small = _small(crops.images[row], side)
        _draw_circles(small, cases[row].findings, side / crops.images.shape[1], crops.table.class_names)
        sheet.put(position, small, cases[row])
    return sheet.pixels


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


class _Sheet:
    """Thumbnails in rows, each with its name and label below it.

    Attributes:
        pixels: uint8 [height, width, 3], blue first.
    """

    def __init__(self, count: int, side: int, columns: int, class_names: tuple[str, ...]) -> None:
        self._side, self._columns, self._class_names = side, max(1, min(columns, count)), class_names
        self._cell = (side + _CAPTION + _GAP, side + _GAP)
        rows = -(-count // self._columns)
        shape = (rows * self._cell[0] + _GAP, self._columns * self._cell[1] + _GAP, 3)
        self.pixels: NDArray[np.uint8] = np.full(shape, 30, np.uint8)

    def put(self, position: int, thumbnail: NDArray[np.uint8] | None, case: Case) -> None:
        """Draw one, uint8 [side, side, 3], in its place; None leaves the place empty."""
        row, column = divmod(position, self._columns)
        top, left = row * self._cell[0] + _GAP, column * self._cell[1] + _GAP
        if thumbnail is not None:
            self.pixels[top : top + self._side, left : left + self._side] = thumbnail
        where, colour = (left, top + self._side + _CAPTION - 4), _class_colour(case.label, self._class_names)
        caption = f"{case.image_id[-16:]} {case.label}"
        cv2.putText(self.pixels, caption, where, cv2.FONT_HERSHEY_SIMPLEX, 0.33, colour, 1, cv2.LINE_AA)


def _rows_of(table: CaseTable, name: str) -> list[int]:
    """The crops of this name, or of the film of this name."""
    ids = enumerate(table.image_ids)
    if not (rows := [row for row, image_id in ids if name in (image_id, image_id.rpartition("-")[0])]):
        raise _no_image(name, "the crops", table)
    return rows


def _no_image(name: str, where: str, table: CaseTable) -> DataError:
    return DataError(
        expected=f"an image in {where}, such as {table.image_ids[0]}", found=repr(name), remedy="Name other images."
    )


def _film_thumbnail(
    film: NDArray[np.uint8],
    region: BreastRegion,
    findings: tuple[Finding, ...],
    class_names: tuple[str, ...],
    side: int,
) -> NDArray[np.uint8]:
    scale = side / max(film.shape)
    small = _small(film, side)
    size = (small.shape[1], small.shape[0])
    mask = cv2.resize(region.mask.view(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(small, contours, -1, MASK_COLOUR, 1)
    left, top, right, bottom = (round(edge * scale) for edge in region.box)
    cv2.rectangle(small, (left, top), (right - 1, bottom - 1), BOX_COLOUR, 1)
    _draw_circles(small, findings, scale, class_names)
    canvas: NDArray[np.uint8] = np.zeros((side, side, 3), np.uint8)
    canvas[: size[1], : size[0]] = small
    return canvas


def _small(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The image in colour, its longer side as long as a thumbnail's."""
    height, width = image.shape
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resized = cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(resized, cv2.COLOR_GRAY2BGR))


def _draw_circles(
    small: NDArray[np.uint8], findings: Iterable[Finding], scale: float, class_names: tuple[str, ...]
) -> None:
    for finding in findings:
        if finding.circle:
            x, y, radius = (round(value * scale) for value in finding.circle)
            colour = _class_colour(finding.severity, class_names)
            cv2.circle(small, (x, y), max(2, radius), colour, 1, cv2.LINE_AA)


def _class_colour(label: str, class_names: tuple[str, ...]) -> tuple[int, int, int]:
    position = class_names.index(label) if label in class_names else 0
    return CLASS_COLOURS[round(position * (len(CLASS_COLOURS) - 1) / max(1, len(class_names) - 1))]
