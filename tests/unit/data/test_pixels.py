"""One pass over the pixels of an image."""

import numpy as np
import pytest
import tifffile

from organscope.data import survey as survey_pixels
from organscope.data.survey import PERCENTILES, look_at
from organscope.io import open_image
from organscope.ops.features import color_histogram


def look(path, pixels):
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(path, pixels, tile=(64, 64), compression="zlib", photometric=photometric)
    with open_image(path) as image:
        return look_at(image)


@pytest.fixture
def image_path(tmp_path):
    return tmp_path / "image.tif"


def test_extremes_and_percentiles_of_16_bit(image_path, rng):
    pixels = rng.integers(300, 4000, (200, 150), np.uint16)
    facts = look(image_path, pixels)
    assert (facts.low, facts.high) == (pixels.min(), pixels.max())
    assert (facts.height_px, facts.width_px, facts.n_channels, facts.dtype) == (200, 150, 1, "uint16")
    assert facts.value_range == (0, 65535)
    assert facts.read_whole
    np.testing.assert_allclose(facts.percentiles[0], np.percentile(pixels, PERCENTILES) / 65535, rtol=1e-6)
    assert (facts.percentiles == facts.percentiles[0]).all()


def test_bands_change_nothing(image_path, colon, monkeypatch):
    whole = look(image_path, colon)
    monkeypatch.setattr(survey_pixels, "_BAND_ALIGNMENT_PX", 64)
    monkeypatch.setattr(survey_pixels, "_BAND_PIXELS", 64 * 512)
    banded = look(image_path, colon)
    assert (banded.low, banded.high) == (whole.low, whole.high)
    for field in ("percentiles", "colours", "texture", "hashes"):
        np.testing.assert_array_equal(getattr(banded, field), getattr(whole, field))


def test_colors_are_those_of_the_image(image_path, colon):
    small = colon[:200, :200]
    np.testing.assert_allclose(look(image_path, small).colours, color_histogram(small.astype(np.float32) / 255))


def test_large_image_is_sampled_evenly(image_path, colon, monkeypatch):
    monkeypatch.setattr(survey_pixels, "_SAMPLE_PIXELS", 60_000)
    monkeypatch.setattr(survey_pixels, "_BAND_ALIGNMENT_PX", 64)
    monkeypatch.setattr(survey_pixels, "_BAND_PIXELS", 1)
    expected = np.percentile(colon.reshape(-1, 3), PERCENTILES, axis=0).T / 255
    # A ninth of the pixels: percentiles move by a few of the 255 levels at most.
    np.testing.assert_allclose(look(image_path, colon).percentiles, expected, atol=4 / 255)


def test_not_a_number_and_infinity_do_not_spread(image_path, rng):
    pixels = rng.random((40, 40)).astype(np.float32)
    pixels[0, 0], pixels[0, 1], pixels[0, 2] = np.nan, np.inf, -np.inf
    facts = look(image_path, pixels)
    assert (facts.n_nan, facts.n_inf) == (1, 2)
    assert 0 <= facts.low < facts.high <= 1
    for field in ("percentiles", "colours", "texture"):
        assert np.isfinite(getattr(facts, field)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, 3.4e38])
def test_image_of_impossible_values_has_facts(image_path, value):
    facts = look(image_path, np.full((20, 20), value, np.float32))
    assert facts.is_constant
    assert not facts.hashes.any()
    assert np.isfinite(facts.percentiles).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2)])
def test_tiny_images_have_facts(image_path, rng, size):
    tifffile.imwrite(image_path, rng.integers(0, 255, size, np.uint8))
    with open_image(image_path) as image:
        facts = look_at(image)
    assert (facts.height_px, facts.width_px) == size


def test_many_channels_count_by_their_first_three(image_path, rng):
    pixels = rng.integers(0, 255, (6, 32, 32), np.uint8)
    tifffile.imwrite(image_path, pixels, metadata={"axes": "CYX"}, ome=True)
    with open_image(image_path) as image:
        facts = look_at(image)
    assert facts.n_channels == 6
    np.testing.assert_allclose(facts.percentiles[1], np.percentile(pixels[1], PERCENTILES) / 255, rtol=1e-6)
