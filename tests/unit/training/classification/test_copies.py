"""Copies that the closed-form head learns from."""

from pathlib import Path

import numpy as np
import pytest

from organscope.training.classification.config import ClassificationConfig
from organscope.training.classification.copies import as_they_are, gray_copies, training_copies


@pytest.fixture
def fields(colon) -> np.ndarray:
    return np.ascontiguousarray(np.stack([colon[:96, :96], colon[100:196, 300:396]]))


def told(**discriminant) -> ClassificationConfig:
    data, bundle = {"sources": [{"index": Path("index")}]}, {"name": "organs", "summary": "Organs."}
    return ClassificationConfig(data=data, bundle=bundle, discriminant=discriminant)


def test_images_come_first_as_they_are(fields):
    (only,) = training_copies(told(gray_weight=0.0))
    assert only.weight == 1.0
    assert only.alter is as_they_are
    np.testing.assert_array_equal(only.alter(fields), fields)


def test_every_copy_that_is_asked_for_is_another_and_counts_as_told(fields):
    copies = training_copies(told(gray_weight=0.5, turned=2, stain=0.4, stain_weight=0.125))
    assert [part.weight for part in copies] == [1.0, 0.5, 1.0, 1.0] + [0.125] * 8
    made = [part.alter(fields) for part in copies]
    assert all(part.dtype == np.uint8 for part in made)
    assert len({part.tobytes() for part in made}) == 12
    assert {part.shape for part in made} == {fields.shape}
    again = training_copies(told(gray_weight=0.5, turned=2, stain=0.4, stain_weight=0.125))
    np.testing.assert_array_equal(again[2].alter(fields), made[2])


def test_turned_copies_may_be_gray_as_well(fields):
    copies = training_copies(told(gray_weight=0.5, turned=1, turned_gray=2))
    assert [part.weight for part in copies] == [1.0, 0.5, 1.0, 0.5, 0.5]
    *_, turned, first, second = (part.alter(fields) for part in copies)
    assert not (turned == turned[..., :1]).all()
    for gray in (first, second):
        assert (gray == gray[..., :1]).all()
    assert (first != second).any()


def test_stained_copies_lie_on_both_sides_of_the_image(fields):
    stained = [part.alter(fields).mean() for part in training_copies(told(gray_weight=0.0, stain=0.4))[1:]]
    assert min(stained) < fields.mean() < max(stained)


def test_gray_copies_have_neither_color_nor_range():
    fields = np.random.default_rng(2).integers(60, 120, (2, 16, 16, 3), dtype=np.uint8)
    copies = gray_copies(fields)
    assert (copies == copies[..., :1]).all()
    assert copies.min() == 0
    assert copies.max() == 255
    np.testing.assert_array_equal(gray_copies(np.full((1, 4, 4, 3), 9, np.uint8)), 0)
