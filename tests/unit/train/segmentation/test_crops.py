"""Cutting and varying training crops."""

import numpy as np
import pytest
from scipy import ndimage

from organscope.ops.instances import HEAD_MAPS
from organscope.train.segmentation.augment import vary_appearance
from organscope.train.segmentation.config import AugmentationSettings, SegmentationConfig
from organscope.train.segmentation.crops import TrainingCrops
from organscope.train.segmentation.squares import compress, cut_square, draw_square
from organscope.train.segmentation.targets import training_maps, turn_flow

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


def test_a_bend_of_nothing_is_a_plain_crop(rng):
    image = ndimage.gaussian_filter(rng.integers(0, 256, (80, 80, 3)).astype(float), (1, 1, 0)).astype(np.uint8)
    square = draw_square(rng, 1.5, True)
    plain, bent = (
        cut_square(image, image[:, :, :2], 48, square, np.random.default_rng(1), elastic_px=px)[0] for px in (0.0, 1e-9)
    )
    # Pillow follows the boxes in other arithmetic than the whole.
    inner = plain[1:-1, 1:-1].astype(int) - bent[1:-1, 1:-1]
    assert np.abs(inner).max() <= 1


def test_a_bend_moves_image_and_maps_alike_and_leaves_no_gap(rng):
    gray = rng.integers(1, 256, (90, 90, 1), dtype=np.uint8)
    image = np.repeat(gray, 3, axis=2)
    square = draw_square(rng, 1.5, True)
    crop, maps = cut_square(image, gray, 64, square, np.random.default_rng(1), elastic_px=4.0)
    straight, _ = cut_square(image, gray, 64, square, np.random.default_rng(1))
    assert np.array_equal(crop[:, :, :1], maps)
    assert crop.min() > 0
    assert (crop != straight).mean() > 0.5


def test_directions_turn_with_the_square_and_mirror_beyond_the_picture():
    """A round cell keeps pointing to its centre, however it is cut."""
    labels = np.zeros((60, 70), np.int32)
    y, x = np.mgrid[:60, :70]
    labels[np.hypot(y - 30, x - 34) < 20] = 1
    maps = training_maps(labels, "flow")
    image = np.repeat(maps[:, :, :1], 3, axis=2)
    for seed in range(6):
        random = np.random.default_rng(seed)
        square = draw_square(random, 1.3, True)
        _, cut = cut_square(image, maps, 128, square, random)
        crop = turn_flow(cut.astype(np.float32) / 255, square)
        cells, n_cells = ndimage.label(crop[..., 0] > 0.9)
        whole = [c for c in range(1, n_cells + 1) if not _touches_border(cells == c)]
        assert whole
        for cell in whole:
            rows, columns = np.nonzero(cells == cell)
            towards = np.array([rows.mean(), columns.mean()])[:, None] - (rows, columns)
            length = np.hypot(*towards)
            far = length > 4
            cosine = ((2 * crop[rows, columns, 2:].T - 1) * towards).sum(axis=0)[far] / length[far]
            # Pixels at the edge are background by up to a tenth, where there is no direction.
            assert cosine.min() > 0.88


def _touches_border(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def test_compression_keeps_shape_and_leaves_traces(colon):
    crop = np.ascontiguousarray(colon[:64, :64])
    poor, good = compress(crop, 30), compress(crop, 90)
    assert poor.shape == crop.shape
    assert np.abs(poor.astype(int) - crop).mean() > np.abs(good.astype(int) - crop).mean() > 0


def test_light_is_smooth_and_bounded(rng):
    images = np.full((4, 32, 40, 3), 0.5, np.float32)
    still = {"stain": 0, "contrast": 0, "brightness": 0, "gamma": 1, "gray": 0, "blur_px": 0, "noise": 0}
    lit = np.asarray(vary_appearance(images, AugmentationSettings(**still, illumination=0.3), rng))
    gain = lit / 0.5 - 1
    assert 0.05 < np.abs(gain).max() <= 0.3 + 1e-5
    assert np.abs(np.diff(gain, axis=1)).max() < 0.05


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


class OnePicture:
    """Stands for `Pictures` with one in memory."""

    def __init__(self, head: str) -> None:
        random = np.random.default_rng(0)
        self.samples = [None]
        labels, _ = ndimage.label(ndimage.gaussian_filter(random.random((80, 90)), 3) > 0.5)
        self._pair = random.integers(0, 256, (80, 90, 3), dtype=np.uint8), training_maps(labels, head)

    def __getitem__(self, number: int):
        return self._pair


@pytest.mark.parametrize("head", ["distance", "flow"])
def test_a_batch_follows_from_seed_epoch_and_step_alone(head):
    """So an interrupted training goes on with the very crops that it would have seen."""
    config = SegmentationConfig.model_validate(
        {
            "data": {"sources": [{"index": "none"}]},
            "bundle": {"name": "none", "summary": "none"},
            "network": {"head": head},
            "augmentation": {"elastic_px": 2.0, "illumination": 0.2, "jpeg": 0.5},
            "fit": {"crop_px": 32, "batch": 3},
        }
    )
    pictures = OnePicture(head)
    one, same = (TrainingCrops(pictures, np.ones(1), config, epoch=2) for _ in range(2))
    same[0]
    images, maps = one[4]
    for found, expected in zip(same[4], (images, maps), strict=True):
        assert np.array_equal(found, expected)
    assert images.shape == (3, 32, 32, 3)
    assert maps.shape == (3, 32, 32, len(HEAD_MAPS[head]))
    assert set(np.unique(maps[..., 0])) <= {0, 1}
    assert not np.array_equal(images, one[5][0])
    assert not np.array_equal(images, TrainingCrops(pictures, np.ones(1), config, epoch=3)[4][0])
