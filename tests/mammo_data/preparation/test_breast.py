from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammo_data import decode_grey, find_breast, load_cases, open_source
from mammo_data.preparation.breast import circle_coverage


def film(chest_wall: str = "right") -> np.ndarray:
    """A half ellipse on padding with a label, a bright line and stray pixels."""
    image = np.zeros((512, 512), np.uint8)
    cv2.ellipse(image, (400, 256), (200, 220), 0, 90, 270, 120, thickness=-1)
    cv2.rectangle(image, (220, 10), (250, 40), 255, thickness=-1)
    cv2.line(image, (450, 0), (450, 511), 200, thickness=3)
    image[::37, 450::29] = 90
    return image if chest_wall == "right" else np.ascontiguousarray(image[:, ::-1])


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_breast_is_found_beside_labels_and_stray_pixels(side: str) -> None:
    region = find_breast(film(side))
    assert region.chest_wall == side
    left, top, right, bottom = (
        region.box if side == "right" else (512 - region.box[2], *region.box[1:2], 512 - region.box[0], region.box[3])
    )
    np.testing.assert_allclose((left, top, right, bottom), (200, 36, 401, 477), atol=8)


def test_a_hole_is_part_of_the_breast() -> None:
    image = film()
    cv2.circle(image, (330, 256), 15, 0, thickness=-1)
    assert find_breast(image).mask[256, 330]


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (512, 512)])
def test_a_black_film_counts_as_breast_altogether(shape: tuple[int, int]) -> None:
    region = find_breast(np.zeros(shape, np.uint8))
    assert region.mask.all()
    assert region.box == (0, 0, shape[1], shape[0])


def test_coverage_is_the_share_of_the_circle() -> None:
    mask = np.zeros((100, 100), bool)
    mask[:, :50] = True
    assert circle_coverage(mask, 20, 50, 10) == 1
    assert circle_coverage(mask, 80, 50, 10) == 0
    assert circle_coverage(mask, 49.5, 50, 20) == pytest.approx(0.5, abs=0.02)
    assert circle_coverage(mask, 0, 50, 20) == pytest.approx(0.5, abs=0.05)
    assert circle_coverage(mask, 10, 10, 0) == 1


@pytest.mark.mias
@pytest.mark.slow
def test_every_real_film_is_oriented_and_the_circles_lie_inside(mias_archive: Path) -> None:
    source = open_source(mias_archive)
    cases = dict(zip(source.image_ids, load_cases(source).cases, strict=True))
    sides: Counter[tuple[str, str]] = Counter()
    coverage: dict[str, list[float]] = {}
    for image_id, data in source.stream():
        region = find_breast(decode_grey(data, image_id))
        sides["odd" if int(image_id[3:]) % 2 else "even", region.chest_wall] += 1
        for finding in cases[image_id].findings:
            if finding.x is not None and finding.y is not None and finding.radius is not None:
                coverage.setdefault(image_id, []).append(
                    circle_coverage(region.mask, finding.x, finding.y, finding.radius)
                )
    assert sides == {("odd", "right"): 161, ("even", "left"): 161}
    values = [value for circles in coverage.values() for value in circles]
    assert len(values) == 119
    assert sum(value >= 0.95 for value in values) >= 111
    assert {image_id for image_id, circles in coverage.items() if min(circles) < 0.1} == {"mdb212", "mdb214"}
