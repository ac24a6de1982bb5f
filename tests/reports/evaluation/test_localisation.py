from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reports.errors import ReportError
from reports.evaluation.confident_cases import confident_cases, confident_errors
from reports.evaluation.localisation import (
    LocatedCase,
    centroid,
    covered_share,
    hits,
    localisation_result,
    pointing_game,
)
from reports.figures.overlays import SIDE, Overlay, write_overlay
from tests.support.simulated import simulated_predictions

BREAST = np.hypot(*np.mgrid[-50:50, 0:100]) < 45


def case(number: int, peak: tuple[float, float] | None, radius: float = 8.0) -> LocatedCase:
    circle = (20.0 + number % 5, 45.0, radius)
    return LocatedCase(f"mdb{number:03d}", f"p{number // 2}", "malignant", (circle,), peak, BREAST)


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_a_point_hits_inside_the_circle_and_nowhere_else(x: float, y: float) -> None:
    assert hits((x, y), [(0.0, 0.0, 20.0)]) == (np.hypot(x, y) <= 20)
    assert not hits(None, [(0.0, 0.0, 20.0)])
    assert hits((x, y), [(500.0, 500.0, 1.0), (x, y, 0.0)])


def test_the_random_baseline_is_what_drawing_would_give() -> None:
    circles = ((20.0, 50.0, 12.0), (30.0, 50.0, 12.0))
    rows, columns = np.nonzero(BREAST)
    drawn = np.random.default_rng(0).integers(len(rows), size=20_000)
    share = np.mean([hits((columns[row], rows[row]), circles) for row in drawn])
    assert covered_share(BREAST, circles) == pytest.approx(share, abs=0.01)


def test_a_map_that_knows_beats_chance_and_one_that_guesses_does_not() -> None:
    knows = pointing_game([case(number, (20.0 + number % 5, 45.0)) for number in range(30)])
    assert knows.map.value == 1.0
    # Fifteen women in a row: Clopper and Pearson's limit, not the 1.00 to 1.00 that resampling would say.
    assert knows.map.lower == pytest.approx(0.782, abs=0.001)
    assert 0.7 < knows.map_over_random.lower < 0.8 < knows.map_over_random.upper
    assert (knows.images, knows.patients) == (30, 15)
    rng = np.random.default_rng(1)
    rows, columns = np.nonzero(BREAST)
    places = rng.integers(len(rows), size=400)
    guesses = [case(number, (columns[row], rows[row]), 15.0) for number, row in enumerate(places)]
    guessed = pointing_game(guesses)
    assert guessed.map_over_random.lower < 0 < guessed.map_over_random.upper
    assert guessed.random.value == pytest.approx(covered_share(BREAST, guesses[0].circles), abs=0.02)


def test_the_centre_baseline_hits_what_lies_in_the_middle() -> None:
    x, y = centroid(BREAST)
    middle = [replace(case(number, None), circles=((x, y, 5.0),)) for number in range(4)]
    game = pointing_game(middle)
    assert game.centre.value == 1.0
    assert game.map.value == 0.0
    assert game.map_over_centre.value == -1.0


def test_each_class_is_played_apart() -> None:
    cases = [replace(case(number, None), label="benign" if number % 3 else "malignant") for number in range(9)]
    result = localisation_result(cases, method="m", chosen_on={"m": 0.5}, chosen_on_images=7)
    assert {name: game.images for name, game in result.by_class.items()} == {"benign": 6, "malignant": 3}
    assert asdict(result)["all"]["images"] == 9


def test_images_without_a_circle_or_a_breast_are_refused() -> None:
    for bad in ([], [replace(case(1, None), circles=())], [replace(case(1, None), breast=np.zeros((9, 9), bool))]):
        with pytest.raises(ReportError, match="can't be located"):
            pointing_game(bad)


def test_an_overlay_shows_the_circle_where_the_lesion_is(tmp_path: Path) -> None:
    image = np.zeros((120, 120), np.uint8)
    image[56:65, 26:35] = 255
    cam = np.zeros((120, 120), np.float32)
    cam[60, 30] = 1
    path = write_overlay(Overlay("mdb001: malignant", "note", image, cam, ((30.0, 60.0, 10.0),)), tmp_path / "o.png")
    pixels = np.asarray(Image.open(path)).astype(int)
    assert pixels.shape[1] > 2 * SIDE
    top = pixels.shape[0] - SIDE - 10  # below the caption
    cyan = (pixels[..., 2] > 180) & (pixels[..., 0] < 80)
    left = cyan[:, : pixels.shape[1] // 2]
    rows, columns = np.nonzero(left)
    white_rows, white_columns = np.nonzero((pixels.min(axis=-1) > 240)[top:-14, 14 : SIDE + 10])
    assert np.mean(rows) == pytest.approx(white_rows.mean() + top, abs=3)
    assert np.mean(columns) == pytest.approx(white_columns.mean() + 14, abs=3)
    first = path.read_bytes()
    write_overlay(Overlay("mdb001: malignant", "note", image, cam, ((30.0, 60.0, 10.0),)), path)
    assert path.read_bytes() == first


def test_confident_cases_are_the_surest_of_each_class_and_side() -> None:
    table = simulated_predictions(patients=60, seed=2, separation=0.6)
    cases = confident_cases(table, right=2, wrong=3)
    by_id = {image: row for row, image in enumerate(table.image_ids)}
    confidence = table.probabilities.max(axis=1)
    for index, name in enumerate(table.class_names):
        for right, most in ((True, 2), (False, 3)):
            rows = np.flatnonzero((table.labels == index) & ((table.predicted == index) == right))
            found = [by_id[case.image_id] for case in cases if case.label == name and case.right == right]
            assert sorted(confidence[found], reverse=True) == sorted(confidence[rows], reverse=True)[:most]
    errors = confident_errors(table)
    assert not any(case.right for case in errors)
    assert [case.confidence for case in errors] == sorted((case.confidence for case in errors), reverse=True)


def test_no_hit_is_no_proof_of_none() -> None:
    game = pointing_game([case(number, None) for number in range(20)])
    assert game.map.value == 0
    assert game.map.upper > 0.2
    assert game.map_over_random.lower < 0 < game.map_over_random.upper
