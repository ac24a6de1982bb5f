"""The pointing game: does the place with the strongest evidence lie on the lesion?

A map hits where its strongest pixel lies inside one of the image's annotated circles (Zhang et al., IJCV 2018, without
their tolerance of 15 pixels). Circles are large and lie in the middle of breasts, so that the share of hits says
nothing by itself; beside it stand

    random   a pixel drawn evenly from the breast: its chance of a hit is the share of the breast that the circles
             cover, exactly, without drawing; large lesions are as easy for it as for the map
    centre   the centroid of the breast

and the differences to both, on the same patients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.errors import ReportError
from reports.metrics.auc import Floats, ratio
from reports.metrics.intervals import Interval, mover_limits
from reports.metrics.rates import mean_interval, share_interval
from reports.metrics.resampling import Jackknife

Circle = tuple[float, float, float]
"""Centre (x, y) and radius in pixels of the prepared image, y from the top."""


@dataclass(frozen=True)
class LocatedCase:
    """An image with annotated circles, and where a map points.

    Attributes:
        image_id: The image.
        patient_id: Its patient.
        label: True class, the one that was explained.
        circles: At least one.
        peak: The map's strongest pixel (x, y), or None for a map of zeros, which hits nothing.
        breast: bool [rows, columns], where a random pixel may lie; not empty.
    """

    image_id: str
    patient_id: str
    label: str
    circles: tuple[Circle, ...]
    peak: tuple[float, float] | None
    breast: NDArray[np.bool_]


@dataclass(frozen=True)
class PointingGame:
    """Shares of hits with intervals, and differences.

    Attributes:
        images: Images with a circle.
        patients: Their patients.
        map: Share of the images whose map hits.
        random: Mean chance of a random pixel of the breast.
        centre: Share of the images whose breast's centroid hits.
        map_over_random: Difference, on the same patients.
        map_over_centre: Difference, on the same patients.
    """

    images: int
    patients: int
    map: Interval
    random: Interval
    centre: Interval
    map_over_random: Interval
    map_over_centre: Interval


@dataclass(frozen=True)
class LocalisationResult:
    """The localisation section of metrics.json.

    Attributes:
        method: The kind of map that was taken, for example "Grad-CAM, 32 px a cell".
        chosen_on: Kind of map to its share of hits on development images, by which it was chosen.
        chosen_on_images: Number of those images.
        all: The pointing game on all held-out images with a circle.
        by_class: The same for each class that has such images.
    """

    method: str
    chosen_on: Mapping[str, float]
    chosen_on_images: int
    all: PointingGame
    by_class: Mapping[str, PointingGame]


def hits(point: tuple[float, float] | None, circles: Sequence[Circle]) -> bool:
    """Whether a pixel (x, y) lies in one of the circles; None lies nowhere."""
    return point is not None and any((point[0] - x) ** 2 + (point[1] - y) ** 2 <= radius**2 for x, y, radius in circles)


def covered_share(breast: NDArray[np.bool_], circles: Sequence[Circle]) -> float:
    """Share of the breast's pixels that lie in one of the circles, 0 to 1."""
    rows, columns = np.nonzero(breast)
    inside = np.zeros(len(rows), dtype=bool)
    for x, y, radius in circles:
        inside |= (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    return float(inside.mean())


def centroid(breast: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean (x, y) of the breast's pixels."""
    rows, columns = np.nonzero(breast)
    return float(columns.mean()), float(rows.mean())


def share_of_hits(cases: Sequence[LocatedCase]) -> float:
    """How many of the maps hit, 0 to 1; 0 for none."""
    return float(np.mean([hits(case.peak, case.circles) for case in cases])) if cases else 0.0


def pointing_game(cases: Sequence[LocatedCase]) -> PointingGame:
    """Plays the game.

    Args:
        cases: At least one.

    Returns:
        The shares.

    Raises:
        ReportError: If there is no case, or one has no circle or no breast.
    """
    bad = [case.image_id for case in cases if not case.circles or not case.breast.any()]
    if not cases or bad:
        raise ReportError(
            expected="images with a circle and a breast",
            found=f"{bad[0]} without" if bad else "no image",
            remedy="Leave out images whose findings can't be located.",
        )
    patients = tuple(case.patient_id for case in cases)
    # No split has dealt out which of them have a circle.
    jackknife = Jackknife.of(patients, np.zeros(len(cases), np.int64), fixed=False)
    everyone = np.ones(len(cases), dtype=bool)
    by_map = np.array([hits(case.peak, case.circles) for case in cases])
    by_centre = np.array([hits(centroid(case.breast), case.circles) for case in cases])
    chance = np.array([covered_share(case.breast, case.circles) for case in cases])

    of_map, of_centre = (share_interval(hit, everyone, patients, jackknife) for hit in (by_map, by_centre))
    random = mean_interval(chance, jackknife)

    def over(other: Interval, values: Floats) -> Interval:
        under = [ratio(jackknife.weights @ each, jackknife.weights.sum(axis=1)) for each in (by_map, values)]
        limits = mover_limits([of_map, other], (1, -1), jackknife.correlation(np.stack(under)))
        return Interval.of(float(under[0][0] - under[1][0]), limits, "mover")

    return PointingGame(
        images=len(cases),
        patients=len(set(patients)),
        map=of_map,
        random=random,
        centre=of_centre,
        map_over_random=over(random, chance),
        map_over_centre=over(of_centre, by_centre.astype(np.float64)),
    )


def localisation_result(
    cases: Sequence[LocatedCase],
    *,
    method: str,
    chosen_on: Mapping[str, float],
    chosen_on_images: int,
) -> LocalisationResult:
    """The pointing game on all images and by class.

    Args:
        cases: Held-out images with a circle, at least one.
        method: See `LocalisationResult`.
        chosen_on: See `LocalisationResult`.
        chosen_on_images: See `LocalisationResult`.
    """
    by_class = {
        label: pointing_game([case for case in cases if case.label == label])
        for label in sorted({case.label for case in cases})
    }
    everywhere = pointing_game(cases)
    return LocalisationResult(method, dict(chosen_on), chosen_on_images, everywhere, by_class)
