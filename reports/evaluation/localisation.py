"""The pointing game: does the place with the strongest evidence lie on the lesion?

A map hits where its strongest pixel lies inside one of the image's annotated circles (Zhang et al., IJCV 2018, without
their tolerance of 15 pixels). Circles are large and lie in the middle of breasts, so that the share of hits says
nothing by itself; beside it stand

    random   a pixel drawn evenly from the breast: its chance of a hit is the share of the breast that the circles
             cover, exactly, without drawing; large lesions are as easy for it as for the map
    centre   the centroid of the breast

and the differences to both on the same resamples of patients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.errors import ReportError
from reports.metrics.auc import Floats, ratio
from reports.metrics.intervals import RESAMPLES, Interval, interval, patient_weights, share

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
    """Shares of hits with patient-bootstrap intervals, and differences.

    Attributes:
        images: Images with a circle.
        patients: Their patients.
        map: Share of the images whose map hits.
        random: Mean chance of a random pixel of the breast.
        centre: Share of the images whose breast's centroid hits.
        map_over_random: Difference, on the same resamples.
        map_over_centre: Difference, on the same resamples.
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


def pointing_game(cases: Sequence[LocatedCase], *, resamples: int = RESAMPLES, seed: int = 0) -> PointingGame:
    """Plays the game.

    Args:
        cases: At least one.
        resamples: Bootstrap resamples of patients.
        seed: Seed of the draw.

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
    weights = patient_weights(patients, resamples=resamples, seed=seed)
    everyone = np.ones(len(cases), dtype=bool)
    by_map = np.array([hits(case.peak, case.circles) for case in cases])
    by_centre = np.array([hits(centroid(case.breast), case.circles) for case in cases])
    chance = np.array([covered_share(case.breast, case.circles) for case in cases])

    def mean(values: Floats) -> Interval:
        return interval(float(values.mean()), ratio(weights @ values, weights.sum(axis=1)))

    def over(other: Interval, difference: Floats) -> Interval:
        return _mover(of_map, other) if "wilson" in (of_map.method, other.method) else mean(difference)

    of_map, of_centre = (share(hit, everyone, patients, weights) for hit in (by_map, by_centre))
    random = mean(chance)
    return PointingGame(
        images=len(cases),
        patients=len(set(patients)),
        map=of_map,
        random=random,
        centre=of_centre,
        map_over_random=over(random, by_map - chance),
        map_over_centre=over(of_centre, by_map.astype(np.float64) - by_centre),
    )


def _mover(first: Interval, second: Interval) -> Interval:
    """Limits of first − second from those of each (Newcombe, Stat Med 1998), as if the two were independent.

    For shares that are 0 or 1, whose difference a bootstrap would be too sure of.
    """
    a, b = first.value or 0.0, second.value or 0.0
    down = math.hypot(a - (first.lower or 0.0), (second.upper or 0.0) - b)
    up = math.hypot((first.upper or 0.0) - a, b - (second.lower or 0.0))
    return Interval(a - b, a - b - down, a - b + up, first.level, "mover")


def localisation_result(
    cases: Sequence[LocatedCase],
    *,
    method: str,
    chosen_on: Mapping[str, float],
    chosen_on_images: int,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> LocalisationResult:
    """The pointing game on all images and by class.

    Args:
        cases: Held-out images with a circle, at least one.
        method: See `LocalisationResult`.
        chosen_on: See `LocalisationResult`.
        chosen_on_images: See `LocalisationResult`.
        resamples: Bootstrap resamples of patients.
        seed: Seed of the draw.
    """
    by_class = {
        label: pointing_game([case for case in cases if case.label == label], resamples=resamples, seed=seed)
        for label in sorted({case.label for case in cases})
    }
    everywhere = pointing_game(cases, resamples=resamples, seed=seed)
    return LocalisationResult(method, dict(chosen_on), chosen_on_images, everywhere, by_class)
