import numpy as np
import pytest

from organscope.ops.corruptions import blurred, compressed, filled, magnified, noisy, stain_shifted
from organscope.ops.features import BAND_EDGES, N_FEATURES, gray_contrast, texture_features


def test_color_and_brightness_do_not_count(colon):
    field = colon[:256, :256]
    gray = np.repeat(np.rint(field.mean(axis=2, keepdims=True)).astype(np.uint8), 3, axis=2)
    dimmed = (field // 2 + 40).astype(np.uint8)
    looks = [texture_features(image) for image in (field, gray, dimmed, field[:, :, ::-1].copy())]
    assert looks[0].shape == (N_FEATURES,)
    # Gray levels are whole numbers: halving them adds rounding noise, which only the finest ring sees.
    np.testing.assert_allclose(looks[1], looks[0], atol=0.05)
    np.testing.assert_allclose(looks[2][:9], looks[0][:9], atol=0.05)
    np.testing.assert_allclose(looks[3], looks[0])


def test_turning_a_image_does_not_count(colon):
    field = colon[:256, :256]
    # The transform of single precision adds rounding noise.
    np.testing.assert_allclose(texture_features(np.rot90(field).copy()), texture_features(field), atol=1e-3)


def test_a_wave_has_its_power_in_the_ring_of_its_period():
    x = np.arange(256)
    wave = np.broadcast_to(127 + 100 * np.sin(2 * np.pi * x / 16), (256, 256))
    field = np.repeat(wave[:, :, None], 3, axis=2).astype(np.uint8)
    ring = np.digitize(1 / 16, BAND_EDGES) - 1
    assert texture_features(field)[:12].argmax() == ring


def test_blur_and_magnification_take_fine_detail(colon):
    field = colon[:256, :256]
    plain = texture_features(field)
    assert np.all(texture_features(blurred(field, 3.0))[8:12] < plain[8:12] - 1)
    assert texture_features(magnified(field, 2.0))[11] < plain[11] - 1
    assert texture_features(magnified(colon, 0.5))[10] > plain[10]


def test_contrast_of_nothing_is_nothing():
    white = np.full((64, 64, 3), 255, np.uint8)
    assert gray_contrast(white) == 0.0
    assert np.isfinite(texture_features(white)).all()


def test_alterations_keep_shape_and_range(colon, rng):
    image = colon[:100, :120]
    assert magnified(image, 2.0).shape == image.shape
    assert magnified(image, 0.5).shape == (50, 60, 3)
    assert filled(image, 300, 110).shape == (300, 120, 3)
    for copy in (blurred(image, 2.0), compressed(image, 60), noisy(image, 5.0, rng)):
        assert (copy.shape, copy.dtype) == (image.shape, np.uint8)
        assert abs(float(copy.mean()) - float(image.mean())) < 2


def test_stain_shift_of_nothing_is_nothing(colon):
    image = colon[:64, :64]
    np.testing.assert_array_equal(stain_shifted(image, 1.0, 1.0), np.maximum(image, 1))
    assert stain_shifted(image, 1.4, 1.0).mean() < image.mean() - 3


@pytest.mark.parametrize("side", [16, 64, 257])
def test_any_size_has_a_look(rng, side):
    field = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
    assert np.isfinite(texture_features(field)).all()
