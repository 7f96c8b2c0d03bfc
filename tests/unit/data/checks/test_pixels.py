"""Images without content."""

import numpy as np
import pytest

from organscope.data.checks.finding import Severity
from organscope.data.checks.images import constant_images, not_finite, tiny_images
from tiny_set import TinySet


def test_ordinary_images_are_silent(tiny: TinySet):
    tiny.add("gray")
    tiny.add("float", tiny.noise().astype(np.float32))
    survey = tiny.survey()
    for check in (not_finite, constant_images, tiny_images):
        assert list(check(survey)) == []


def test_not_a_number_and_infinity_are_counted(tiny: TinySet):
    pixels = tiny.noise().astype(np.float32)
    pixels[0, :3] = np.nan
    pixels[1, :2] = [np.inf, -np.inf]
    tiny.add("a", pixels)
    (finding,) = not_finite(tiny.survey())
    assert finding.severity is Severity.WARNING
    assert "3 not-a-number and 2 infinite" in finding.message


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((32, 32), np.uint16), "0 in every pixel"),
        (np.full((32, 32, 3), 255, np.uint8), "255 in every pixel"),
        (np.full((32, 32), np.nan, np.float32), "no finite value at all"),
    ],
)
def test_images_of_one_value(tiny: TinySet, pixels, said):
    tiny.add("flat", pixels)
    (finding,) = constant_images(tiny.survey())
    assert finding.severity is Severity.ERROR
    assert said in finding.message


@pytest.mark.parametrize(
    ("size", "severity"), [((1, 1), Severity.ERROR), ((40, 1), Severity.ERROR), ((15, 40), Severity.WARNING)]
)
def test_images_too_small_for_a_cell(tiny: TinySet, size, severity):
    tiny.add("small", tiny.noise(size))
    survey = tiny.survey()
    (finding,) = tiny_images(survey)
    assert finding.severity is severity
    assert list(constant_images(survey)) == []
