"""Training cells are the crops that prediction sees, drawn as asked."""

import numpy as np
import pytest
from PIL import Image as PillowImage

from organscope.data.index import Sample
from organscope.errors import AnnotationError, DatasetError
from organscope.inference.cell_classification import _crops_of_tiles
from organscope.inference.preprocess import ImageNormalizer
from organscope.io import write_labels
from organscope.training.classification.config import ClassificationConfig
from organscope.training.classification.data import draw_probability, read_cells, spread_over_organs
from tiny_bundles import tiny_cell_organs
from tiny_set import two_cells

CONFIG = ClassificationConfig.model_validate(
    {
        "data": {"sources": [{"index": "unused"}]},
        "bundle": {"name": "cells", "summary": "For tests."},
        "field": {"subject": "cell", "field_px": 32, "input_px": 32},
        "cells": {"room": 1.5, "per_epoch": 10},
    }
)


def sample(folder, name: str, labels: np.ndarray, seed: int = 0) -> Sample:
    pixels = np.random.default_rng(seed).integers(0, 256, (*labels.shape, 3)).astype(np.uint8)
    PillowImage.fromarray(pixels).save(folder / f"{name}.png")
    write_labels(folder / f"{name}.tif", labels)
    return Sample(name, folder / f"{name}.png", folder / f"{name}.tif", "a", name, "tiny", 0, "", None)


@pytest.fixture
def samples(tmp_path) -> list[Sample]:
    edge = np.zeros((20, 40), np.int32)
    edge[0, 0], edge[19, 39] = 4, 9
    return [sample(tmp_path, "two", two_cells()), sample(tmp_path, "edge", edge, seed=1)]


def test_crops_are_those_of_prediction(samples, tmp_path):
    bundle = tiny_cell_organs(tmp_path / "bundle")
    cells = read_cells(samples, CONFIG.model_copy(update={"field": _field(8)}), np.inf)
    assert cells.picture.tolist() == [0, 0, 1, 1]
    for number, sample_ in enumerate(samples):
        with sample_.open() as image:
            preparation = ImageNormalizer(image, bundle.manifest.preprocessing)
            _, inputs = next(_crops_of_tiles(image, cells.pictures.centres[number], bundle, preparation))
        of_image = np.flatnonzero(cells.picture == number)
        fields = np.concatenate([cells.fields(int(cell)) for cell in of_image])
        # The bundle divides by 255 and standardizes with mean 0 and deviation 1.
        np.testing.assert_array_equal(fields.astype(np.float32) / np.float32(255), inputs)


def test_a_training_crop_has_room_around_it(samples):
    cells = read_cells(samples, CONFIG, np.inf)
    assert len(cells) == 4
    assert cells.draws_per_epoch == 10
    for number in range(4):
        room = cells.random_field(number, np.random.default_rng(0))
        assert room.shape == (48, 48, 3)
        np.testing.assert_array_equal(room[8:40, 8:40], cells.fields(number)[0])


def test_without_memory_the_same_crops_are_read_again(samples):
    kept, read = read_cells(samples, CONFIG, np.inf), read_cells(samples, CONFIG, 0.0)
    assert (kept.pictures.n_cached, read.pictures.n_cached) == (2, 0)
    for number in range(4):
        np.testing.assert_array_equal(kept.fields(number), read.fields(number))
        random = np.random.default_rng(0)
        np.testing.assert_array_equal(kept.random_field(number, random), read.random_field(number, random))


def test_the_gray_range_is_that_of_the_whole_image(samples):
    cells = read_cells(samples, CONFIG, 0.0)
    for number, sample_ in enumerate(samples):
        with sample_.open() as image:
            gray = image.read_whole().mean(axis=2)
        assert cells.gray_range(2 * number) == pytest.approx(tuple(np.percentile(gray, (1.0, 99.8))))


def test_chosen_cells_come_from_the_same_images(samples):
    cells = read_cells(samples, CONFIG, np.inf)
    some = cells.chosen(np.array([1, 3]))
    assert len(some) == 2
    np.testing.assert_array_equal(some.fields(1), cells.fields(3))


def test_labels_without_cells_or_of_another_size_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="labeled cells in 1 images"):
        read_cells([sample(tmp_path, "none", np.zeros((20, 20), np.int32))], CONFIG, np.inf)
    other = sample(tmp_path, "other", np.ones((20, 20), np.int32))
    write_labels(other.labels_path, np.ones((10, 20), np.int32))
    with pytest.raises(AnnotationError, match=r"\(20, 20\) px .* found \(10, 20\)"):
        read_cells([other], CONFIG, np.inf)


def test_draws_follow_images_or_cells():
    image = np.array([0, 1, 1, 1, 1])
    of_images = np.array([0.5, 0.5])
    assert draw_probability(image, of_images, 1.0) == pytest.approx([0.5] + [0.125] * 4)
    assert draw_probability(image, of_images, 0.0) == pytest.approx([0.2] * 5)
    assert draw_probability(image, of_images, 0.5) == pytest.approx(np.array([2, 1, 1, 1, 1]) / 6)


def test_a_sample_is_spread_over_the_organs():
    organs = np.repeat([0, 1, 3], [50, 3, 20])
    chosen = spread_over_organs(organs, 20, seed=0)
    assert np.bincount(organs[chosen]).tolist() in ([9, 3, 0, 8], [8, 3, 0, 9])
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    np.testing.assert_array_equal(chosen, spread_over_organs(organs, 20, seed=0))
    assert spread_over_organs(organs, 1000, seed=0).tolist() == list(range(73))


def _field(side_px: int):
    # Smaller than a configuration may ask for, so that the bundle of the tests fits.
    return CONFIG.field.model_copy(update={"field_px": side_px, "input_px": side_px})
