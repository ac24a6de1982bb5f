"""Crops: one window for all, normal centres from development lesions alone, nothing that gives the label away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo_data import (
    CaseTable,
    DataError,
    PreparationSettings,
    PreparedSet,
    RoiSet,
    RoiSettings,
    Split,
    cut_regions,
    decode_grey,
    film_settings,
    find_breast,
    open_source,
    patient_split,
    prepare,
)
from mammo_data.preparation.breast import BreastFrame
from mammo_data.preparation.roi import LesionDensity
from tests.support.every_setting import each_field_changed

SMALL = PreparationSettings(image_size=48)


@pytest.fixture(scope="module")
def films(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    source = open_source(phantom)
    return prepare(source, film_settings(source, remove_labels=True), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def split(films: PreparedSet) -> Split:
    return patient_split(films.table, folds=3)


@pytest.fixture(scope="module")
def regions(films: PreparedSet, split: Split) -> RoiSet:
    return cut_regions(films, split, RoiSettings(), SMALL)


def test_a_crop_a_located_lesion_and_one_a_normal_breast(films: PreparedSet, regions: RoiSet) -> None:
    lesions = [(case, f) for case in films.table.cases for f in case.findings if f.x is not None]
    normals = [case for case in films.table.cases if case.label == "normal"]
    assert len(regions.table) == len(lesions) + len(normals)
    assert regions.images.shape == (len(regions.table), 48, 48)
    assert sorted(case.label for case in regions.table.cases) == sorted(
        [f.severity for _, f in lesions] + ["normal"] * len(normals)
    )
    for case in regions.table.cases:
        assert len(case.findings) == (case.label != "normal")
        assert all(finding.severity == case.label for finding in case.findings)
    assert len(set(regions.table.image_ids)) == len(regions.table)


def test_a_lesion_lies_in_the_middle_of_its_crop(regions: RoiSet) -> None:
    for case in regions.table.cases:
        for finding in case.findings:
            assert finding.x == pytest.approx(23.5, abs=1.5)
            assert finding.y == pytest.approx(23.5, abs=1.5)


def test_what_can_not_be_located_is_left_out_and_listed(films: PreparedSet, regions: RoiSet) -> None:
    assert regions.unlocatable == films.unlocatable
    assert regions.unlocatable
    with_crop = {image_id.rpartition("-")[0] for image_id in regions.table.image_ids}
    for case in films.table.cases:
        assert (case.image_id in with_crop) == (not case.findings or any(f.x is not None for f in case.findings))


def test_every_class_is_cut_alike(films: PreparedSet, split: Split) -> None:
    """The same film under all names and a single lesion: a normal crop is the lesion's crop."""
    development = split.development_rows(films.table)
    row = next(row for row in development if any(f.x is not None for f in films.table.cases[row].findings))
    cases = [
        case if number == row else replace(case, label="normal", findings=())
        for number, case in enumerate(films.table.cases)
    ]
    images = np.broadcast_to(films.images[row], films.images.shape)
    same = replace(films, images=images, table=CaseTable(tuple(cases), films.table.class_names))
    regions = cut_regions(same, split, RoiSettings(), SMALL)
    lesion = int(np.flatnonzero(regions.table.labels)[0])
    # A breast-relative position is a whole row and a share of its width: the way back may end one pixel beside.
    off = np.abs(regions.images.astype(int) - regions.images[lesion]).mean(axis=(1, 2))
    assert off.max() < 3
    assert np.abs(regions.positions - regions.positions[lesion]).max() < 0.02


def test_held_out_patients_contribute_nothing_to_the_others_crops(
    films: PreparedSet, split: Split, regions: RoiSet
) -> None:
    rows = split.test_rows(films.table)
    images, cases = np.array(films.images), list(films.table.cases)
    rng = np.random.default_rng(0)
    for row in rows:
        images[row] = np.where(images[row] > 18, rng.integers(30, 250, images[row].shape), 0)
        cases[row] = replace(
            cases[row],
            findings=tuple(replace(f, x=40.0, y=40.0, radius=9.0) for f in cases[row].findings),
        )
    changed = replace(films, images=images, table=CaseTable(tuple(cases), films.table.class_names))
    other = cut_regions(changed, split, RoiSettings(), SMALL)
    development, same = split.development_rows(regions.table), split.development_rows(other.table)
    assert regions.table.take(development) == other.table.take(same)
    np.testing.assert_array_equal(regions.images[development], other.images[same])
    np.testing.assert_array_equal(regions.context[development], other.context[same])
    assert not np.array_equal(
        regions.images[split.test_rows(regions.table)][:3], other.images[split.test_rows(other.table)][:3]
    )


def test_one_crop_with_a_fixed_seed_and_jitter_in_training_views_only(
    films: PreparedSet, split: Split, regions: RoiSet
) -> None:
    again = cut_regions(films, split, RoiSettings(), SMALL)
    np.testing.assert_array_equal(again.images, regions.images)
    assert again.fingerprint == regions.fingerprint
    views = [regions.training_image(0, view) for view in range(1, 9)]
    assert len({view.tobytes() for view in views}) > 4
    np.testing.assert_array_equal(views[0], again.training_image(0, 1))
    still = cut_regions(films, split, RoiSettings(jitter=0.0), SMALL)
    np.testing.assert_array_equal(still.training_image(0, 5), still.images[0])
    other = cut_regions(films, split, RoiSettings(seed=1), SMALL)
    labels = regions.table.labels
    assert not np.array_equal(other.positions[labels == 0], regions.positions[labels == 0])
    np.testing.assert_array_equal(other.positions[labels > 0], regions.positions[labels > 0])
    assert len({regions.fingerprint, still.fingerprint, other.fingerprint}) == 3


def test_strict_normals_come_from_unaffected_women(films: PreparedSet, split: Split) -> None:
    strict = cut_regions(films, split, RoiSettings(strict_normals=True), SMALL)
    affected = {case.patient_id for case in films.table.cases if case.label != "normal"}
    normals = [case for case in strict.table.cases if case.label == "normal"]
    assert normals
    assert not {case.patient_id for case in normals} & affected


def test_the_window_is_the_same_in_millimetres_whatever_the_crop_s_size(films: PreparedSet, split: Split) -> None:
    radii = []
    for size in (48, 96):
        regions = cut_regions(films, split, RoiSettings(), replace(SMALL, image_size=size))
        radii.append([f.radius for case in regions.table.cases for f in case.findings])
    assert np.array(radii[1]) / np.array(radii[0]) == pytest.approx(2.0, rel=0.05)


def test_clahe_reaches_the_crops_and_moves_none(films: PreparedSet, split: Split, regions: RoiSet) -> None:
    lifted = cut_regions(films, split, RoiSettings(), replace(SMALL, clahe=True))
    np.testing.assert_array_equal(lifted.positions, regions.positions)
    assert not np.array_equal(lifted.images, regions.images)


def test_crops_are_told_by_all_that_they_are_cut_from_and_how(films: PreparedSet, split: Split) -> None:
    roi = RoiSettings(window=64)
    others = [cut_regions(films, split, each, SMALL) for each in each_field_changed(roi).values()]
    others += [cut_regions(films, split, roi, each) for each in each_field_changed(SMALL).values()]
    others += [cut_regions(films, patient_split(films.table, folds=3, seed=1), roi, SMALL)]
    others += [cut_regions(replace(films, fingerprint="0" * 64), split, roi, SMALL)]
    assert len({each.fingerprint for each in (cut_regions(films, split, roi, SMALL), *others)}) == 12


def test_films_to_cut_from_are_whole_and_cleaned_as_configured(phantom: Path) -> None:
    source = open_source(phantom)
    side = max(decode_grey(source.read(source.image_ids[0]), "").shape)
    for remove_labels in (True, False):
        found = film_settings(source, remove_labels=remove_labels)
        assert found == PreparationSettings(image_size=side, crop=False, remove_labels=remove_labels)


def test_without_any_located_lesion_there_are_no_crops(films: PreparedSet, split: Split) -> None:
    bare = CaseTable(tuple(replace(case, findings=()) for case in films.table.cases), films.table.class_names)
    with pytest.raises(DataError, match="position"):
        cut_regions(replace(films, table=bare), split, RoiSettings(), SMALL)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8),
    st.integers(0, 2**32),
    st.integers(5, 60),
    st.integers(5, 60),
)
def test_every_draw_lies_on_the_breast(
    positions: list[tuple[float, float]], seed: int, half_width: int, half_height: int
) -> None:
    y, x = np.mgrid[:128, :80]
    mask = (x / half_width) ** 2 + ((y - 64) / half_height) ** 2 <= 1
    frame = BreastFrame.of(mask)
    depth, height = LesionDensity(np.array(positions)).draw(np.random.default_rng(seed))
    column, row = frame.pixel(depth, height)
    assert mask[round(row), round(column)]
    again = frame.relative(column, row)
    assert again[1] == pytest.approx(height, abs=1 / half_height)


def test_positions_survive_the_way_to_relative_coordinates_and_back(films: PreparedSet) -> None:
    mask = find_breast(np.asarray(films.images[0])).mask
    frame = BreastFrame.of(mask)
    rows, columns = np.nonzero(mask)
    for index in range(0, rows.size, max(1, rows.size // 50)):
        x, y = frame.pixel(*frame.relative(float(columns[index]), float(rows[index])))
        assert (x, y) == pytest.approx((columns[index], rows[index]), abs=1.0)
