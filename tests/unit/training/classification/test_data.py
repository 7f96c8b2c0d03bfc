"""Fields of training images, in memory and read on demand, and how often each image is drawn."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from organscope.data.index import Sample
from organscope.ops.intensity import Preprocessing
from organscope.training.classification.config import FieldConfig
from organscope.training.classification.data import (
    Images,
    TrainingBatches,
    ValidationBatches,
    draw_images,
    steps_per_epoch,
)
from organscope.training.origin import Place

BYTES = Preprocessing(intensity="full_range")
HALF = FieldConfig(field_px=64, input_px=32)


def sample_of(pixels: np.ndarray, path: Path) -> Sample:
    PillowImage.fromarray(pixels).save(path)
    return Sample(path.stem, path, None, "colon", path.stem, "demo", 2, "", None)


@pytest.fixture
def samples(colon, tmp_path) -> list[Sample]:
    """One image of exactly one field, one of several, one smaller than a field."""
    cuts = {"one": colon[:64, :64], "several": colon[:160, :192], "small": colon[:40, :50]}
    return [sample_of(pixels, tmp_path / f"{name}.png") for name, pixels in cuts.items()]


def test_images_are_kept_until_the_cap(samples):
    assert Images(samples, HALF, BYTES, cache_mb=1).n_cached == 3
    assert Images(samples, HALF, BYTES, cache_mb=0).n_cached == 0
    one_field_mb = 32 * 32 * 3 / 2**20
    assert Images(samples, HALF, BYTES, cache_mb=one_field_mb).n_cached == 1


def test_memory_and_disk_give_nearly_the_same_fields(samples):
    kept, read = (Images(samples, HALF, BYTES, cache_mb) for cache_mb in (1, 0))
    for number in range(3):
        memory, disk = kept.fields(number).astype(int), read.fields(number).astype(int)
        assert memory.shape == disk.shape
        # Cut before or after resizing: only the outermost pixels of a field see other neighbors.
        assert np.abs(memory - disk)[:, 1:-1, 1:-1].max() <= 1


def test_the_grid_covers_a_large_image_and_a_small_one_is_mirrored(samples):
    images = Images(samples, HALF, BYTES, cache_mb=1)
    assert [len(images.fields(number)) for number in range(3)] == [1, 9, 1]
    small = images.fields(2)[0]
    assert small.shape == (32, 32, 3)
    # At half size the mirror starts after 20 rows; the last row alone lies at an edge, where the filter is cut.
    np.testing.assert_array_equal(small[20:31, :20], small[9:20, :20][::-1])


def test_random_fields_follow_the_generator_and_stay_inside(samples):
    images = Images(samples, HALF, BYTES, cache_mb=0)
    first = [images.random_field(1, np.random.default_rng(7)) for _ in range(2)]
    np.testing.assert_array_equal(first[0], first[1])
    random = np.random.default_rng(0)
    fields = [images.random_field(1, random) for _ in range(20)]
    assert {field.shape for field in fields} == {(32, 32, 3)}
    assert len({field.tobytes() for field in fields}) > 10


def test_the_gray_range_is_that_of_the_whole_image(samples):
    kept, read = (Images(samples, HALF, BYTES, cache_mb=memory) for memory in (1, 0))
    for number in range(3):
        with samples[number].open() as image:
            gray = image.read_whole().mean(axis=2)
        assert read.gray_range(number) == pytest.approx(tuple(np.percentile(gray, (1.0, 99.8))))
        # Of kept pixels, at the network's scale.
        np.testing.assert_allclose(kept.gray_range(number), read.gray_range(number), atol=10)


def test_every_image_is_drawn_as_often_as_expected_give_or_take_one():
    probability = np.array([0.5, 0.25, 0.15, 0.1])
    for seed in range(20):
        counts = np.bincount(draw_images(probability, 10, np.random.default_rng(seed)), minlength=4)
        assert counts.sum() == 10
        assert np.all(np.abs(counts - 10 * probability) <= 1 + 1e-9)


def test_batches_of_an_epoch_are_full_and_repeatable(samples):
    images = Images(samples, HALF, BYTES, cache_mb=1)
    organs, probability = np.array([0, 1, 0]), np.full(3, 1 / 3)

    def epoch(number: int) -> list:
        return list(TrainingBatches(images, organs, probability, 2, (0, number), Place()))

    assert [(fields.shape, ranges.shape, len(labels)) for fields, ranges, labels in epoch(0)] == [
        ((2, 3, 32, 32), (2, 2), 2)
    ] * 2
    assert all(torch.equal(a[0], b[0]) for a, b in zip(epoch(0), epoch(0), strict=True))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(epoch(0), epoch(1), strict=True))


def test_processes_share_every_batch(samples):
    images = Images(samples, HALF, BYTES, cache_mb=1)
    organs, probability = np.arange(3), np.full(3, 1 / 3)
    places = [Place(), Place(0, 2, 2), Place(1, 2, 2)]
    alone, *parts = (list(TrainingBatches(images, organs, probability, 2, (0, 0), place)) for place in places)
    for (_, ranges, both), (first, black, one), (second, white, other) in zip(alone, *parts, strict=True):
        assert len(first) == len(second) == 1
        assert torch.equal(both, torch.cat([one, other]))
        assert torch.equal(ranges, torch.cat([black, white]))
    owners = [torch.cat([part for _, part in ValidationBatches(images, 2, place)]).tolist() for place in places[1:]]
    assert owners == [[0, 2], [1] * 9]
    lone = Images(samples[:1], HALF, BYTES, cache_mb=1)
    assert len(list(ValidationBatches(lone, 2, Place(1, 2, 2)))) == 1


def test_validation_shows_every_field_with_its_image(samples):
    batches = list(ValidationBatches(Images(samples, HALF, BYTES, cache_mb=1), batch=2, place=Place()))
    owners = torch.cat([part for _, part in batches]).tolist()
    assert len(batches) == 2
    assert owners == [0] + [1] * 9 + [2]


@pytest.mark.parametrize(("n_pictures", "batch", "steps"), [(333, 32, 10), (5, 32, 1), (100, 40, 2)])
def test_an_epoch_shows_about_as_many_fields_as_images(n_pictures, batch, steps):
    assert steps_per_epoch(n_pictures, batch) == steps
