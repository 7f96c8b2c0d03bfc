"""Fields in parts give the answer of the whole image."""

import dataclasses

import numpy as np
import pytest

from organscope.inference import classify_image
from organscope.inference.classify import NO_TISSUE, FieldReader, answer_of_fields, join_answers


@pytest.mark.parametrize("size", [(512, 512), (200, 333), (10, 20)])
def test_parts_give_the_answer_of_the_whole(colon, organs_bundle, opened, size):
    image = opened(np.ascontiguousarray(colon[: size[0], : size[1]]))
    reader = FieldReader(image, organs_bundle)
    n_fields = len(reader.grid.rows) * len(reader.grid.columns)
    odd = reader.answers(range(1, n_fields, 2))
    found = answer_of_fields(join_answers([odd, reader.answers(range(0, n_fields, 2))]), organs_bundle)
    whole = classify_image(image, organs_bundle)
    np.testing.assert_array_equal(found.logits, whole.logits)
    np.testing.assert_array_equal(found.probabilities, whole.probabilities)
    assert found.decision == whole.decision


def test_every_field_starts_in_one_window(colon, organs_bundle, opened):
    grid = FieldReader(opened(colon[:300, :420]), organs_bundle).grid
    cuts = [(slice(y, y + 100), slice(x, x + 140)) for y in range(0, 300, 100) for x in range(0, 420, 140)]
    numbers = [number for cut in cuts for number in grid.starting_in(*cut)]
    assert sorted(numbers) == list(range(len(grid.rows) * len(grid.columns)))


def test_glass_alone_is_abstained_from(colon, organs_bundle, opened):
    none = FieldReader(opened(colon), organs_bundle).answers([])
    found = answer_of_fields(join_answers([none, none]), organs_bundle)
    assert found.decision.decision == "abstain"
    assert NO_TISSUE in found.decision.reason
    assert set(dataclasses.asdict(none)) == {"number", "logits", "distance", "contrast", "look"}
