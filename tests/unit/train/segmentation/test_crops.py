"""Cutting and varying training crops."""

import numpy as np
import pytest

from organscope.train.segmentation.augment import vary_appearance
from organscope.train.segmentation.config import AugmentationSettings
from organscope.train.segmentation.squares import cut_square, draw_square

IDENTITY = np.eye(2)


def test_without_turning_a_square_is_a_plain_crop(rng):
    image = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
    crop, maps = cut_square(image, image[:, :, :2], 16, IDENTITY, rng)
    windows = np.lib.stride_tricks.sliding_window_view(image, (16, 16, 3))[:, :, 0]
    assert (windows == crop).all(axis=(2, 3, 4)).any()
    assert np.array_equal(maps, crop[:, :, :2])


def test_image_and_maps_stay_together_under_any_turn(rng):
    gray = rng.integers(0, 256, (60, 60, 1), dtype=np.uint8)
    image = np.repeat(gray, 3, axis=2)
    for _ in range(10):
        crop, maps = cut_square(image, gray, 32, draw_square(rng, 1.5, True), rng)
        assert np.array_equal(crop[:, :, :1], maps)


def test_a_small_picture_is_continued_by_its_mirror_image(rng):
    image = np.full((10, 12, 3), 200, np.uint8)
    crop, _ = cut_square(image, image[:, :, :2], 64, draw_square(rng, 2.0, True), rng)
    assert crop.shape == (64, 64, 3)
    assert crop.min() == 200


def test_a_square_keeps_shapes(rng):
    matrix = draw_square(rng, 1.0, True)
    assert matrix @ matrix.T == pytest.approx(np.eye(2))
    scaled = draw_square(rng, 2.0, True)
    assert 1 / 4 <= abs(np.linalg.det(scaled)) <= 4


def test_appearance_stays_in_range_and_follows_the_seed(rng):
    images = rng.random((3, 24, 24, 3)).astype(np.float32)
    first, second = (
        np.asarray(vary_appearance(images, AugmentationSettings(), np.random.default_rng(5))) for _ in range(2)
    )
    assert np.array_equal(first, second)
    assert first.shape == images.shape
    assert first.min() >= 0
    assert first.max() <= 1
    assert np.abs(first - images).max() > 0.01


def test_amounts_of_zero_change_nothing(rng):
    images = rng.uniform(0.05, 1, (2, 16, 16, 3)).astype(np.float32)
    still = AugmentationSettings(stain=0, contrast=0, brightness=0, gamma=1, gray=0, blur_px=0, noise=0)
    # Through optical density and back in float32.
    assert np.asarray(vary_appearance(images, still, rng)) == pytest.approx(images, abs=1e-4)
