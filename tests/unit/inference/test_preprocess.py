"""Preprocessing of a whole image through samples and look-up tables."""

import numpy as np
import pytest

from organscope.errors import ShapeError
from organscope.inference import preprocess
from organscope.inference.preprocess import ImageNormalizer
from organscope.ops.intensity import Preprocessing, intensity_range, scale_intensity, standardize

SPEC = Preprocessing(mean=(0.7, 0.6, 0.5), std=(0.2, 0.25, 0.3))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_look_up_equals_the_formula(colon, opened, dtype):
    pixels = colon.astype(dtype) * dtype(1 if dtype == np.uint8 else 17)
    found = ImageNormalizer(opened(pixels), SPEC).network_input(pixels)
    low, high = intensity_range(pixels, SPEC, (0.0, 1.0))
    assert found.dtype == np.float32
    assert np.array_equal(found, standardize(scale_intensity(pixels, low, high), SPEC))


def test_bytes_are_the_scaled_intensities_rounded(colon, opened):
    preparation = ImageNormalizer(opened(colon), Preprocessing(intensity="full_range"))
    assert np.array_equal(preparation.as_bytes(colon), colon)
    assert np.allclose(preparation.standardised(colon), colon / np.float32(255))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_looked_up_bytes_equal_the_formula(colon, opened, dtype):
    pixels = colon.astype(dtype) * dtype(1 if dtype == np.uint8 else 17)
    preparation = ImageNormalizer(opened(pixels), SPEC)
    low, high = intensity_range(pixels, SPEC, (0.0, 1.0))
    found = preparation.as_bytes(pixels)
    assert np.array_equal(found, np.rint(scale_intensity(pixels, low, high) * 255).astype(np.uint8))
    scaled = found.astype(np.float32) / np.float32(255)
    assert np.array_equal(preparation.standardised(found), standardize(scaled, SPEC))
    assert np.array_equal(preparation.standardised(found[::2, ::3]), standardize(scaled[::2, ::3], SPEC))


def test_a_large_image_is_judged_by_a_sample(colon, opened, monkeypatch):
    large = np.tile(colon, (2, 3, 1))
    whole = ImageNormalizer(opened(large), SPEC).as_bytes(colon)
    monkeypatch.setattr(preprocess, "_SAMPLE_PX", 512 * 512)
    sampled = ImageNormalizer(opened(large), SPEC).as_bytes(colon)
    # One block is one image of the mosaic, and all its images are the same.
    assert np.array_equal(sampled, whole)


def test_many_channels_need_a_choice(colon, cells_bundle, tmp_path):
    import tifffile

    from organscope.io import open_image

    pixels = np.concatenate([colon, colon], axis=2).transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "six.tif", pixels, photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(ShapeError, match="--channel"):
        ImageNormalizer(open_image(tmp_path / "six.tif"), SPEC)
    assert ImageNormalizer(open_image(tmp_path / "six.tif", channel=4), SPEC) is not None
