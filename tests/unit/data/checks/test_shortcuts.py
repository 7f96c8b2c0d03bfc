"""Organs that can be told without looking at tissue."""

import numpy as np
import pytest

from organscope.data.checks import shortcuts
from organscope.data.checks.finding import Severity
from organscope.data.checks.shortcuts import (
    acquisition_tells_organ,
    color_tells_organ,
    mixed_pixel_sizes,
    mixed_types,
    unknown_pixel_size,
)
from tiny_set import TinySet

N_IMAGES = 8


@pytest.fixture(autouse=True)
def _small_forests(monkeypatch):
    """A few trees tell colors that are this different, or this equal."""
    monkeypatch.setattr(shortcuts, "_N_TREES", 15)


def add_stained(tiny: TinySet, stains: dict[str, list[int]], groups: int = 1) -> None:
    """Noise around one color an organ; folds and groups alternate."""
    random = np.random.default_rng(1)
    for organ, stain in stains.items():
        for number in range(N_IMAGES):
            pixels = np.clip(random.normal(stain, 12, (24, 24, 3)), 0, 255).astype(np.uint8)
            group = f"{organ} slide {number % groups}"
            tiny.add(f"{organ} {number}", pixels, organ=organ, fold=number // 2 % 2 + 1, group=group)


def test_one_stain_an_organ_is_found(tiny: TinySet):
    add_stained(tiny, {"liver": [180, 60, 120], "lung": [120, 60, 180], "skin": [90, 90, 90]})
    (finding,) = color_tells_organ(tiny.survey())
    assert finding.severity is Severity.WARNING
    assert "balanced accuracy 1.00 (chance 0.33; 24 images, 3 organs)" in finding.message
    assert "half of the groups" not in finding.message


def test_organs_of_one_stain_are_silent(tiny: TinySet):
    stain = [180, 60, 120]
    add_stained(tiny, {"liver": stain, "lung": stain, "skin": stain})
    assert list(color_tells_organ(tiny.survey())) == []


def test_stain_of_the_organ_is_told_from_stain_of_the_slide(tiny: TinySet):
    add_stained(tiny, {"liver": [180, 60, 120], "lung": [120, 60, 180]}, groups=2)
    (finding,) = color_tells_organ(tiny.survey())
    assert "over the 2 organs that have several: 1.00 (chance 0.50)" in finding.message


def test_brightness_of_a_gray_16_bit_scanner_is_found(tiny: TinySet):
    random = np.random.default_rng(2)
    for organ, brightness in {"liver": 900, "lung": 1400}.items():
        for number in range(N_IMAGES):
            pixels = random.normal(brightness, 60, (24, 24)).astype(np.uint16)
            tiny.add(f"{organ} {number}", pixels, organ=organ)
    (finding,) = color_tells_organ(tiny.survey())
    assert "balanced accuracy 1.00" in finding.message
    # Each image is a group of its own, which tells nothing about slides.
    assert "half of the groups" not in finding.message


def test_one_organ_or_few_images_say_nothing(tiny: TinySet):
    add_stained(tiny, {"liver": [180, 60, 120]})
    tiny.add("one", organ="lung")
    assert list(color_tells_organ(tiny.survey())) == []


def test_one_acquisition_is_silent(tiny: TinySet):
    for number in range(4):
        tiny.add(f"a{number}", organ=("liver", "lung")[number % 2], um_per_px=0.5)
    survey = tiny.survey()
    for check in (mixed_types, mixed_pixel_sizes, unknown_pixel_size, acquisition_tells_organ):
        assert list(check(survey)) == []


def test_mixed_types_and_pixel_sizes_are_counted(tiny: TinySet):
    tiny.add("a", um_per_px=0.5)
    tiny.add("b", tiny.noise(dtype=np.uint16), um_per_px=0.25)
    tiny.add("c", tiny.noise((32, 32, 3)))
    survey = tiny.survey()
    (types,), (sizes,) = mixed_types(survey), mixed_pixel_sizes(survey)
    assert "1 x uint8 (1 images), 1 x uint16 (1 images), 3 x uint8 (1 images)" in types.message
    assert "0.5 um (1 images), 0.25 um (1 images), unknown (1 images)" in sizes.message


def test_unknown_pixel_size_is_noted(tiny: TinySet):
    tiny.add("a")
    (finding,) = unknown_pixel_size(tiny.survey())
    assert finding.severity is Severity.NOTE


def test_image_size_that_names_the_organ(tiny: TinySet):
    for number in range(6):
        tiny.add(f"liver {number}", tiny.noise((32, 32)), organ="liver")
        tiny.add(f"lung {number}", tiny.noise((32, 40)), organ="lung")
    (finding,) = acquisition_tells_organ(tiny.survey())
    assert (
        "The image size alone names the organ of 100% of the images (the most frequent organ: 50%)" in finding.message
    )


def test_sizes_that_every_image_has_of_its_own_say_nothing(tiny: TinySet):
    for number in range(6):
        tiny.add(f"a{number}", tiny.noise((32, 32 + number)), organ=("liver", "lung")[number % 2])
    assert list(acquisition_tells_organ(tiny.survey())) == []
