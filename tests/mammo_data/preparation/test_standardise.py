from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo_data import Finding, PreparationSettings, standardise


def film(chest_wall: str, width: int = 400, height: int = 512) -> np.ndarray:
    """A half ellipse with a bright dot 50 px off the chest wall, and a label."""
    image = np.zeros((height, width), np.uint8)
    cv2.ellipse(image, (0, height // 2), (width // 2, int(height * 0.45)), 0, -90, 90, 100, thickness=-1)
    cv2.circle(image, (50, 300), 8, 255, thickness=-1)
    cv2.rectangle(image, (width - 60, 5), (width - 20, 40), 255, thickness=-1)
    return image if chest_wall == "left" else np.ascontiguousarray(image[:, ::-1])


@pytest.mark.parametrize("crop", [True, False])
@pytest.mark.parametrize("size", [64, 96, 224, 700])
@pytest.mark.parametrize("chest_wall", ["left", "right"])
def test_findings_are_carried_along(chest_wall: str, size: int, crop: bool) -> None:
    finding = Finding("CIRC", "benign", 50.0 if chest_wall == "left" else 349.0, 300.0, 8.0)
    canvas, (carried,) = standardise(film(chest_wall), (finding,), PreparationSettings(image_size=size, crop=crop))
    assert canvas.shape == (size, size)
    rows, columns = np.nonzero(canvas > 180)
    assert carried.x == pytest.approx(columns.mean(), abs=0.5 + size / 300)
    assert carried.y == pytest.approx(rows.mean(), abs=0.5 + size / 300)
    assert carried.radius is not None
    assert np.pi * carried.radius**2 == pytest.approx(rows.size, rel=0.5, abs=6)


def test_left_and_right_become_the_same() -> None:
    prepared = [standardise(film(side), (), PreparationSettings(image_size=128))[0] for side in ("left", "right")]
    np.testing.assert_array_equal(prepared[0], prepared[1])
    assert prepared[0][64, 0] > 0


def test_the_aspect_ratio_is_kept() -> None:
    canvas, _ = standardise(film("left"), (), PreparationSettings(image_size=230))
    rows, columns = np.nonzero(canvas)
    assert np.ptp(rows) + 1 == 230
    assert np.ptp(columns) + 1 == pytest.approx(230 * 200 / 460, abs=4)


def test_labels_go_and_can_stay() -> None:
    uncropped = {"image_size": 128, "crop": False}
    without, _ = standardise(film("left"), (), PreparationSettings(**uncropped))
    with_labels, _ = standardise(film("left"), (), PreparationSettings(**uncropped, remove_labels=False))
    assert without[:12, 80:].max() == 0
    assert with_labels[:12, 80:].max() == 255


def test_a_circle_in_the_background_loses_its_place() -> None:
    findings = (Finding("CALC", "malignant", 380.0, 480.0, 9.0), Finding("CALC", "malignant"))
    _, carried = standardise(film("left"), findings, PreparationSettings(image_size=64))
    assert [(finding.x, finding.y, finding.radius) for finding in carried] == [(None, None, None)] * 2


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    size=st.integers(8, 200),
    value=st.integers(0, 255),
    crop=st.booleans(),
)
def test_any_size_of_film_fits_the_canvas(height: int, width: int, size: int, value: int, crop: bool) -> None:
    image = np.full((height, width), value, np.uint8)
    canvas, _ = standardise(image, (), PreparationSettings(image_size=size, crop=crop))
    assert canvas.shape == (size, size)
    assert canvas.max() == value


def test_an_absurd_size_is_refused() -> None:
    with pytest.raises(ValueError, match="image_size"):
        PreparationSettings(image_size=0)


def test_clahe_lifts_local_contrast_and_leaves_black_and_findings_alone() -> None:
    rng = np.random.default_rng(0)
    image = film("left")
    image[image == 100] = rng.integers(95, 106, int((image == 100).sum()))
    finding = Finding("CIRC", "benign", 50.0, 300.0, 8.0)
    plain, places = standardise(image, (finding,), PreparationSettings(image_size=256))
    lifted, same = standardise(image, (finding,), PreparationSettings(image_size=256, clahe=True, clahe_limit=4.0))
    milder, _ = standardise(image, (finding,), PreparationSettings(image_size=256, clahe=True, clahe_limit=1.2))
    assert same == places
    assert not lifted[plain == 0].any()
    tissue = (plain > 90) & (plain < 110)
    assert lifted[tissue].std() > milder[tissue].std() > plain[tissue].std()
    with pytest.raises(ValueError, match="clahe_limit"):
        PreparationSettings(clahe_limit=0.0)
