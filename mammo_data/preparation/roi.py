"""Regions of interest: a crop around each annotated lesion, and one like it from each breast without any.

An easier task than whole images, for an oracle has found the place. How crops are cut can give the label away (crops
as large as the lesion against crops from the middle: AUC 0.77 from three trivial statistics), so all are cut alike:

- one window, the same in millimetres for every class, for no radius is known when a model is used;
- normal centres drawn once, with a fixed seed, from the density of the DEVELOPMENT patients' lesions in breast-relative
  coordinates; the held-out patients contribute nothing to it, their normal crops are drawn from it too;
- the same films, padding and interpolation for all, and jitter for all, in training views only;
- a lesion's crop has the lesion's own label; a lesion that can't be located has none, and its image is listed.
"""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import Case, CaseTable, Finding
from mammo_data.errors import DataError
from mammo_data.files import sha256_of
from mammo_data.preparation.breast import BreastFrame, find_breast
from mammo_data.preparation.prepared import PreparedSet
from mammo_data.preparation.settings import FILM_SIDE, PreparationSettings, RoiSettings
from mammo_data.preparation.standardise import equalise_contrast, resized
from mammo_data.sources.base import ImageSource
from mammo_data.sources.open import first_frame
from mammo_data.splits import Split

FORMAT = 2
"""Raise it with every change to the code that changes a pixel."""
BANDWIDTH = 0.3
"""Of the kernel, in standard deviations of the positions. Scott's rule (0.48 for 90 positions) supposes one normal
hump; lesions crowd into the upper outer quadrant, and smoothing by that much moves the normal centres out of it."""


@dataclass(frozen=True)
class RoiSet(PreparedSet):
    """Crops in the place of prepared images: a row, and a case of the table, is a lesion or a normal breast.

    Attributes:
        context: Each crop with a margin for the jitter, uint8 [n, S + 2 m, S + 2 m].
        positions: Breast-relative (depth, height) of each centre, float64 [n, 2].
        roi: How it was made.
        left_out: Ids of the images with a finding that can't be located; such findings have no crop.
    """

    context: NDArray[np.uint8]
    positions: NDArray[np.float64]
    roi: RoiSettings
    left_out: tuple[str, ...]

    @property
    def unlocatable(self) -> tuple[str, ...]:
        """Ids of the images with a finding that has no crop."""
        return self.left_out

    def training_image(self, row: int, view: int) -> NDArray[np.uint8]:
        """The crop from a window that is shifted at random, uint8 [S, S], the same whenever it is asked for."""
        size = self.settings.image_size
        spare = self.context.shape[1] - size
        name = zlib.crc32(self.table.cases[row].image_id.encode())
        top, left = np.random.default_rng((self.roi.seed, name, view)).integers(spare + 1, size=2)
        return np.asarray(self.context[row, top : top + size, left : left + size])


def film_settings(source: ImageSource, *, remove_labels: bool) -> PreparationSettings:
    """How films are prepared to cut crops from: whole, at their own resolution, chest wall at the left.

    Args:
        source: The films; the first one gives the size, for `prepare` refuses a set of mixed sizes.
        remove_labels: See `PreparationSettings`.

    Raises:
        DataError: There is no film, or the first can't be decoded.
    """
    side = max(first_frame(source))
    return PreparationSettings(image_size=side, crop=False, remove_labels=remove_labels)


def cut_regions(films: PreparedSet, split: Split, roi: RoiSettings, preparation: PreparationSettings) -> RoiSet:
    """Cut all crops, of both sides of a split.

    Args:
        films: Prepared with `film_settings`.
        split: Whose lesions the normal centres may follow.
        roi: How to cut.
        preparation: Size and contrast of the crops; ``crop`` has no meaning for them.

    Raises:
        DataError: No development patient has a lesion that can be located.
    """
    frames = [BreastFrame.of(find_breast(np.asarray(film)).mask) for film in films.images]
    density = LesionDensity.of_development(films.table, frames, split)
    affected = {case.patient_id for case in films.table.cases if case.label != films.table.class_names[0]}
    cases: list[Case] = []
    positions: list[tuple[float, float]] = []
    contexts: list[NDArray[np.uint8]] = []
    for case, film, frame in zip(films.table.cases, films.images, frames, strict=True):
        centres = _lesions(case)
        if case.label == films.table.class_names[0] and not (roi.strict_normals and case.patient_id in affected):
            # A generator of its own, so that no image's centre depends on which others there are.
            rng = np.random.default_rng((roi.seed, zlib.crc32(case.image_id.encode())))
            centres = [(*frame.pixel(*density.draw(rng)), None)]
        if not centres:
            continue
        pixels = equalise_contrast(film, preparation.clahe_limit) if preparation.clahe else np.asarray(film)
        for number, (x, y, finding) in enumerate(centres, start=0 if centres[0][2] is None else 1):
            window = _Window.around(x, y, film_side=len(film), roi=roi, size=preparation.image_size)
            contexts.append(window.cut(pixels))
            positions.append(frame.relative(x, y))
            cases.append(
                Case(
                    image_id=f"{case.image_id}-{number}",
                    patient_id=case.patient_id,
                    label=case.label if finding is None else finding.severity,
                    tissue=case.tissue,
                    findings=() if finding is None else (window.carry(finding),),
                )
            )
    context = np.stack(contexts)
    margin = (context.shape[1] - preparation.image_size) // 2
    inner = slice(margin, margin + preparation.image_size)
    return RoiSet(
        directory=films.directory,
        images=np.ascontiguousarray(context[:, inner, inner]),
        table=CaseTable(tuple(cases), films.table.class_names),
        settings=preparation,
        fingerprint=sha256_of([FORMAT, films.fingerprint, split.test_patients, asdict(roi), asdict(preparation)]),
        films_fingerprint=films.films_fingerprint,
        context=context,
        positions=np.array(positions),
        roi=roi,
        left_out=films.unlocatable,
    )


@dataclass(frozen=True)
class _Window:
    """A square of the film with its margin, and the crop that it becomes.

    Attributes:
        left: First column in the film; may lie off it.
        top: First row in the film; may lie off it.
        side: In film pixels, margin included.
        size: In crop pixels, margin included.
        margin: In crop pixels.
    """

    left: int
    top: int
    side: int
    size: int
    margin: int

    @classmethod
    def around(cls, x: float, y: float, *, film_side: int, roi: RoiSettings, size: int) -> _Window:
        margin = round(size * roi.jitter)
        whole = size + 2 * margin
        side = max(2, round(roi.window * film_side / FILM_SIDE * whole / size))
        return cls(round(x + 0.5 - side / 2), round(y + 0.5 - side / 2), side, whole, margin)

    def cut(self, film: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [size, size]; black where the window leaves the film."""
        window = np.zeros((self.side, self.side), np.uint8)
        rows = slice(max(0, self.top), max(0, self.top + self.side))
        columns = slice(max(0, self.left), max(0, self.left + self.side))
        part = film[rows, columns]
        top, left = rows.start - self.top, columns.start - self.left
        window[top : top + part.shape[0], left : left + part.shape[1]] = part
        return resized(window, (self.size, self.size))

    def carry(self, finding: Finding) -> Finding:
        """The finding in pixels of the crop without its margin."""
        scale = self.size / self.side
        x, y, radius = finding.circle or (0.0, 0.0, 0.0)
        return replace(
            finding,
            x=(x + 0.5 - self.left) * scale - 0.5 - self.margin,
            y=(y + 0.5 - self.top) * scale - 0.5 - self.margin,
            radius=radius * scale,
        )


@dataclass(frozen=True)
class LesionDensity:
    """A kernel-smoothed density of lesion positions (Parzen, 1962), Gaussian, reflected at the breast's edge.

    Attributes:
        positions: (depth, height) of each lesion, float64 [n, 2], n above 0.
    """

    positions: NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> tuple[float, float]:
        """One position: a lesion's, moved by the kernel."""
        centre = self.positions[rng.integers(len(self.positions))]
        moved = centre + rng.normal(size=2) * BANDWIDTH * self.positions.std(axis=0)
        depth, height = 1 - np.abs(1 - np.abs(moved) % 2)
        return float(depth), float(height)

    @classmethod
    def of_development(cls, table: CaseTable, frames: list[BreastFrame], split: Split) -> LesionDensity:
        """That of the lesions which a split's development patients have in a table."""
        rows = split.development_rows(table)
        positions = [frames[row].relative(x, y) for row in rows for x, y, _ in _lesions(table.cases[row])]
        if not positions:
            raise DataError(
                expected="lesions with a position among the development patients",
                found="none",
                remedy="Use whole images (--mode whole), or data with x, y and radius.",
            )
        return cls(np.array(positions))


def _lesions(case: Case) -> list[tuple[float, float, Finding | None]]:
    return [(*finding.circle[:2], finding) for finding in case.findings if finding.circle]
