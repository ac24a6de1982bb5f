from __future__ import annotations

import numpy as np
import pytest

from mammo_data import AugmentationSettings, evaluation_dataset, training_dataset, view_dataset
from mammo_data.training.augmentation import augmented_view

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (10, 16, 16), dtype=np.uint8)
LABELS = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2, 2])
NAMES = tuple(f"mdb{number:03d}" for number in range(1, 11))
NORMAL = AugmentationSettings()


def batches(first_epoch: int = 0, passes: int = 1, **changes: object) -> list[tuple[np.ndarray, np.ndarray]]:
    arguments = {"batch_size": 4, "steps": 3, "seed": 5, "augmentation": NORMAL, **changes}
    dataset = training_dataset(IMAGES, LABELS, NAMES, first_epoch=first_epoch, **arguments)  # type: ignore[arg-type]
    return [(x.numpy(), y.numpy()) for _ in range(passes) for x, y in dataset]


def same(one: list[tuple[np.ndarray, np.ndarray]], other: list[tuple[np.ndarray, np.ndarray]]) -> bool:
    return all(np.array_equal(a, c) and np.array_equal(b, d) for (a, b), (c, d) in zip(one, other, strict=True))


def test_views_come_in_order_as_the_network_takes_them() -> None:
    rows, views = [3, 3, 0, 9, 1], [0, 2, 1, 0, 7]
    dataset = view_dataset(IMAGES, rows, views, NAMES, batch_size=2, seed=11, augmentation=NORMAL)
    parts = [part.numpy() for part in dataset]
    assert [len(part) for part in parts] == [2, 2, 1]
    pixels = np.concatenate(parts)
    assert pixels.shape == (5, 16, 16, 3)
    assert pixels.dtype == np.float32
    for position, (row, view) in enumerate(zip(rows, views, strict=True)):
        expected = augmented_view(IMAGES[row], NAMES[row], view, seed=11, settings=NORMAL)
        for channel in range(3):
            np.testing.assert_allclose(pixels[position, :, :, channel], expected / 127.5 - 1, atol=1e-6)
    assert -1 <= pixels.min() <= pixels.max() <= 1
    with pytest.raises(ValueError, match="equally long"):
        view_dataset(IMAGES, [1], [0, 1], NAMES, batch_size=2, seed=0, augmentation=NORMAL)


def test_training_batches_are_whole_and_balanced() -> None:
    drawn = batches()
    assert [x.shape for x, _ in drawn] == [(4, 16, 16, 3)] * 3
    assert {y.dtype for _, y in drawn} == {np.dtype(np.int32)}
    np.testing.assert_array_equal(np.bincount(np.concatenate([y for _, y in drawn])), [4, 4, 4])


def test_an_epoch_is_a_function_of_seed_and_number() -> None:
    assert same(batches(passes=2), batches(passes=2))
    assert same(batches(passes=2)[3:], batches(first_epoch=1))
    assert not same(batches(), batches(first_epoch=1))
    assert not same(batches(), batches(seed=6))


def test_evaluation_is_the_images_as_they_are() -> None:
    parts = [(x.numpy(), y.numpy()) for x, y in evaluation_dataset(IMAGES, LABELS, batch_size=4)]
    assert [len(y) for _, y in parts] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([y for _, y in parts]), LABELS)
    np.testing.assert_allclose(np.concatenate([x for x, _ in parts])[..., 1], IMAGES / 127.5 - 1, atol=1e-6)


def test_the_images_are_left_as_they_were() -> None:
    before = IMAGES.copy()
    batches()
    np.testing.assert_array_equal(IMAGES, before)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="10 images"):
        training_dataset(IMAGES, LABELS[:9], NAMES, batch_size=2, steps=1, seed=0, augmentation=NORMAL)
    with pytest.raises(ValueError, match="10 images"):
        evaluation_dataset(IMAGES, LABELS[:9], batch_size=2)
