"""Cutting and varying training crops."""

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from organscope.data.index import Sample
from organscope.io import write_labels
from organscope.ops.instances import HEAD_MAPS
from organscope.ops.intensity import Preprocessing
from organscope.training.origin import Place
from organscope.training.segmentation import data
from organscope.training.segmentation.augment import STAINS, vary_appearance
from organscope.training.segmentation.config import AugmentationSettings, SegmentationConfig
from organscope.training.segmentation.data import (
    Images,
    TrainingCrops,
    compress,
    cut_square,
    draw_square,
    training_maps,
    turn_flow,
)

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


def test_a_small_image_is_continued_by_its_mirror_image(rng):
    image = np.full((10, 12, 3), 200, np.uint8)
    crop, _ = cut_square(image, image[:, :, :2], 64, draw_square(rng, 2.0, True), rng)
    assert crop.shape == (64, 64, 3)
    assert crop.min() == 200


def test_a_square_about_a_cell_shows_it_however_turned(rng):
    image = rng.integers(0, 256, (300, 280, 3), dtype=np.uint8)
    maps = np.zeros((300, 280, 2), np.uint8)
    maps[210:216, 40:45] = 255
    for _ in range(50):
        _, cut = cut_square(image, maps, 64, draw_square(rng, 1.5, True), rng, on_cell=True)
        assert cut[..., 0].max() > 127
    places = [np.argmax(cut_square(image, maps, 64, IDENTITY, rng, on_cell=True)[1][..., 0]) for _ in range(20)]
    assert len(set(places)) > 10
    assert cut_square(image, 0 * maps, 64, IDENTITY, rng, on_cell=True)[1].max() == 0


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


def test_directions_turn_with_the_square_and_mirror_beyond_the_image():
    """A round cell keeps pointing to its center, however it is cut."""
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


def test_brown_takes_the_place_of_eosin_in_patches_and_leaves_haematoxylin():
    still = {"stain": 0, "contrast": 0, "brightness": 0, "gamma": 1, "gray": 0, "blur_px": 0, "noise": 0}
    shown = np.exp(-0.6 * STAINS[[1, 0]])[:, None, None] * np.ones((2, 64, 64, 1), np.float32)
    eosin, haematoxylin = np.asarray(
        vary_appearance(shown.astype(np.float32), AugmentationSettings(**still, brown=1), np.random.default_rng(0))
    )
    redness = eosin[..., 0] - eosin[..., 2]
    assert redness.max() > 0.1
    assert redness.max() - redness.min() > 0.05
    assert (haematoxylin[..., 2] > haematoxylin[..., 0]).all()


@pytest.mark.parametrize("seed", range(4))
def test_any_amount_however_small_keeps_the_range(seed):
    random = np.random.default_rng(seed)
    images = random.uniform(0, 1, (4, 16, 16, 3)).astype(np.float32)
    little = AugmentationSettings(stain_colour=0.3, brown=0.5, blur_px=0.05, noise=0.001, illumination=0.01)
    varied = np.asarray(vary_appearance(images, little, random))
    assert varied.shape == images.shape
    assert 0 <= varied.min() <= varied.max() <= 1


class OnePicture:
    """Stands for `Pictures` with one in memory."""

    def __init__(self, head: str) -> None:
        random = np.random.default_rng(0)
        self.samples = [None]
        labels, _ = ndimage.label(ndimage.gaussian_filter(random.random((80, 90)), 3) > 0.5)
        self._pair = random.integers(0, 256, (80, 90, 3), dtype=np.uint8), training_maps(labels, head)

    def window(self, number: int, side_px: int, random: np.random.Generator):
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
    one, same = (TrainingCrops(pictures, np.ones(1), config, epoch=2, place=Place()) for _ in range(2))
    same[0]
    images, maps = one[4]
    for found, expected in zip(same[4], (images, maps), strict=True):
        assert np.array_equal(found, expected)
    assert images.shape == (3, 32, 32, 3)
    assert maps.shape == (3, 32, 32, len(HEAD_MAPS[head]))
    assert set(np.unique(maps[..., 0])) <= {0, 1}
    assert not np.array_equal(images, one[5][0])
    assert not np.array_equal(images, TrainingCrops(pictures, np.ones(1), config, epoch=3, place=Place())[4][0])


def test_processes_share_a_batch():
    config = SegmentationConfig.model_validate(
        {
            "data": {"sources": [{"index": "none"}]},
            "bundle": {"name": "none", "summary": "none"},
            "fit": {"crop_px": 32, "batch": 4},
        }
    )
    parts = [TrainingCrops(OnePicture("distance"), np.ones(1), config, 1, Place(rank, 2)) for rank in range(2)]
    (first, _), (second, _) = (part[0] for part in parts)
    assert first.shape == second.shape == (2, 32, 32, 3)
    assert not np.array_equal(first, second)


@pytest.fixture
def large(tmp_path, rng) -> Sample:
    """An image that shows the number of each cell, and labels of cells smaller than the margin."""
    cells = np.zeros((300, 400), np.int32)
    for number in range(100):
        y, x = 30 * (number // 10), 40 * (number % 10)
        cells[y + 3 : y + 25, x + 5 : x + 33] = number + 1
    tifffile.imwrite(tmp_path / "large.tif", np.repeat(cells[..., None], 3, axis=2).astype(np.uint8), tile=(64, 64))
    write_labels(tmp_path / "labels.tif", cells)
    return Sample("large", tmp_path / "large.tif", tmp_path / "labels.tif", "", "large", "demo", 2, "", None)


@pytest.mark.parametrize("head", ["distance", "flow", "boundary"])
def test_a_window_of_a_large_image_is_a_part_of_the_whole(large, head, monkeypatch):
    spec = Preprocessing(intensity="full_range")
    whole, whole_maps = Images([large], spec, head, 0)[0]
    monkeypatch.setattr(data, "LARGE_PX", 1000)
    images = Images([large], spec, head, 0)
    for seed in range(5):
        image, maps = images.window(0, 120, np.random.default_rng(seed))
        assert image.shape == (120, 120, 3)
        places = np.lib.stride_tricks.sliding_window_view(whole[..., 0], (120, 120))
        (y, x), *_ = np.argwhere((places == image[..., 0]).all(axis=(2, 3)))
        np.testing.assert_array_equal(maps, whole_maps[y : y + 120, x : x + 120])


def test_corners_are_the_same_read_whole_and_by_region(large, monkeypatch):
    spec = Preprocessing(intensity="full_range")
    whole = list(Images([large], spec, "distance", 0).corners(0, 128))
    monkeypatch.setattr(data, "LARGE_PX", 1000)
    parts = list(Images([large], spec, "distance", 0).corners(0, 128))
    assert len(parts) == 2
    for (image, labels), (expected, cells) in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(image, expected)
        np.testing.assert_array_equal(labels > 0, cells > 0)
        assert len(np.unique(labels)) == len(np.unique(cells))
