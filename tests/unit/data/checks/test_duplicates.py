"""Copies of images."""

import numpy as np
import pytest

from organscope.data.checks.finding import Severity
from organscope.data.checks.images import exact_duplicates, near_duplicates
from tiny_set import TinySet


@pytest.fixture
def parts(colon) -> list[np.ndarray]:
    """Four images of one slide that do not overlap."""
    return [colon[top : top + 256, left : left + 256] for top in (0, 256) for left in (0, 256)]


def test_parts_of_one_slide_are_no_copies(tiny: TinySet, parts):
    for number, part in enumerate(parts):
        tiny.add(f"part {number}", part)
    survey = tiny.survey()
    assert list(exact_duplicates(survey)) == []
    assert list(near_duplicates(survey)) == []


def test_a_copy_is_a_warning(tiny: TinySet, parts):
    tiny.add("a", parts[0])
    tiny.add("b", parts[0])
    tiny.add("c", parts[1])
    survey = tiny.survey()
    (finding,) = exact_duplicates(survey)
    assert finding.severity is Severity.WARNING
    assert "2 times: a, b" in finding.message
    # Exact copies are said once.
    assert list(near_duplicates(survey)) == []


@pytest.mark.parametrize(("column", "values"), [("fold", (1, 2)), ("split", ("train", "test")), ("organ", ("x", "y"))])
def test_a_copy_across_the_split_or_of_another_organ_is_an_error(tiny: TinySet, parts, column, values):
    for name, value in zip("ab", values, strict=True):
        tiny.add(name, parts[0], **{column: value})
    (finding,) = exact_duplicates(tiny.survey())
    assert finding.severity is Severity.ERROR


def test_changed_copies_are_found(tiny: TinySet, parts, rng):
    noisy = np.clip(parts[0] * 0.8 + 10 + rng.normal(0, 4, parts[0].shape), 0, 255).astype(np.uint8)
    tiny.add("original", parts[0], fold=1)
    tiny.add("noisy", noisy, fold=2)
    tiny.add("turned", np.rot90(parts[0]).copy(), fold=1)
    tiny.add("half size", parts[0][::2, ::2].copy(), fold=1)
    tiny.add("other", parts[3], fold=1)
    (finding,) = near_duplicates(tiny.survey())
    assert finding.severity is Severity.WARNING
    assert "4 times: half size, noisy, original, turned" in finding.message
    assert "different folds" in finding.message


def test_flat_images_are_not_said_to_be_alike(tiny: TinySet):
    tiny.add("black", np.zeros((32, 32), np.uint8))
    tiny.add("white", np.full((32, 32), 255, np.uint8))
    assert list(near_duplicates(tiny.survey())) == []
