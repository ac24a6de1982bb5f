from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo_data import AugmentationSettings, PreparationSettings, augment, open_source, prepare
from mammo_data.training.augmentation import augmented_view, views_per_class

NORMAL = AugmentationSettings()


@pytest.fixture(scope="module")
def image(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    cache = tmp_path_factory.mktemp("cache")
    return np.array(prepare(open_source(phantom), PreparationSettings(image_size=96), cache).images[0])


def test_view_0_is_the_image_itself(image: np.ndarray) -> None:
    np.testing.assert_array_equal(augmented_view(image, "mdb001", 0, seed=3, settings=NORMAL), image)


def test_a_view_depends_on_seed_name_and_number_alone(image: np.ndarray) -> None:
    view = augmented_view(image, "mdb001", 1, seed=3, settings=NORMAL)
    np.testing.assert_array_equal(view, augmented_view(image, "mdb001", 1, seed=3, settings=NORMAL))
    for other in (
        augmented_view(image, "mdb002", 1, seed=3, settings=NORMAL),
        augmented_view(image, "mdb001", 2, seed=3, settings=NORMAL),
        augmented_view(image, "mdb001", 1, seed=4, settings=NORMAL),
    ):
        assert not np.array_equal(view, other)
    with pytest.raises(ValueError, match="view"):
        augmented_view(image, "mdb001", -1, seed=3, settings=NORMAL)


def test_strength_scales_the_change_and_0_is_none(image: np.ndarray) -> None:
    np.testing.assert_array_equal(augment(image, AugmentationSettings(strength=0), np.random.default_rng(0)), image)
    changes = [
        np.mean(
            [
                np.abs(augment(image, settings, np.random.default_rng(seed)).astype(float) - image).mean()
                for seed in range(10)
            ]
        )
        for settings in (AugmentationSettings(strength=strength, vertical_flip=0) for strength in (0.25, 1.0, 2.0))
    ]
    assert 0 < changes[0] < changes[1] < changes[2]


def test_flips_alone_are_exact(image: np.ndarray) -> None:
    flips = AugmentationSettings(
        vertical_flip=1,
        horizontal_flip=1,
        rotation=0,
        scale=0,
        translation=0,
        contrast=0,
        brightness=0,
        gamma=0,
        elastic=0,
    )
    flipped = augment(image, flips, np.random.default_rng(0))
    np.testing.assert_allclose(flipped.astype(int), image[::-1, ::-1].astype(int), atol=8)


def test_a_still_transform_changes_no_geometry(image: np.ndarray) -> None:
    still = AugmentationSettings(vertical_flip=0, rotation=0, scale=0, translation=0, contrast=0, brightness=0, gamma=0)
    bright = image > 40
    moved = augment(image, still, np.random.default_rng(1))
    assert np.mean((moved > 40) == bright) > 0.97


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), strength=st.floats(0, 3), value=st.integers(0, 255), side=st.integers(8, 80))
def test_any_draw_gives_an_image_and_black_stays_black(seed: int, strength: float, value: int, side: int) -> None:
    source = np.full((side, side), value, np.uint8)
    result = augment(source, AugmentationSettings(strength=strength), np.random.default_rng(seed))
    assert result.shape == (side, side)
    assert result.dtype == np.uint8
    if value == 0:
        assert result.max() == 0
    np.testing.assert_array_equal(source, np.full((side, side), value, np.uint8))


def test_views_are_in_proportion_to_the_draws() -> None:
    assert views_per_class(np.repeat([0, 1, 2], [207, 63, 52]), 3) == (4, 13, 16)
    assert views_per_class(np.repeat([0, 1], [100, 1]), 3) == (4, 16, 4)
    assert views_per_class(np.repeat([0, 1], [10, 10]), 2, base=2) == (2, 2)


def test_absurd_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="rotation"):
        AugmentationSettings(rotation=-1)
    with pytest.raises(ValueError, match="scale"):
        AugmentationSettings(strength=20)
