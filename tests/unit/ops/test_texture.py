"""Texture of cells against scikit-image and scipy."""

import numpy as np
import pytest
from scipy import ndimage, stats
from skimage.feature import graycomatrix, graycoprops
from skimage.measure import regionprops

from organscope.ops.texture import N_LEVELS, measure_texture

ANGLES = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    found, _ = ndimage.label(ndimage.gaussian_filter(np.random.default_rng(1).random((200, 220)), 4) > 0.52)
    sizes = np.bincount(found.ravel())
    return (np.where(sizes[found] > 4, found, 0) * 3).astype(np.int32)


def test_haralick_equals_scikit_image(labels, colon):
    pixels = colon[:200, :220]
    ours = measure_texture(labels, pixels, (0.0, 255.0))
    gray = pixels.mean(axis=2, dtype=np.float32)
    levels = np.clip(gray * N_LEVELS / 255, 0, N_LEVELS - 1).astype(np.uint8)
    for n, cell in enumerate(regionprops(labels)):
        # scikit-image knows no masks: what is outside becomes a level of its own, whose pairs are dropped.
        masked = np.where(cell.image, levels[cell.slice], N_LEVELS).astype(np.uint8)
        pairs = graycomatrix(masked, [1], ANGLES, N_LEVELS + 1, symmetric=True)[:-1, :-1].sum(axis=3, keepdims=True)
        shares = pairs / max(pairs.sum(), 1)
        for name in ("contrast", "homogeneity", "energy", "correlation"):
            assert ours[f"haralick_{name}"][n] == pytest.approx(graycoprops(shares, name)[0, 0], abs=1e-9)
        assert ours["haralick_entropy"][n] == pytest.approx(stats.entropy(shares.ravel(), base=2), abs=1e-9)


def test_moments_equal_scipy(labels, colon):
    pixels = colon[:200, :220]
    ours = measure_texture(labels, pixels, (0.0, 255.0))
    gray = pixels.mean(axis=2, dtype=np.float32).astype(np.float64)
    for n, cell in enumerate(regionprops(labels)):
        values = gray[cell.slice][cell.image]
        assert ours["gray_std"][n] == pytest.approx(values.std(), abs=1e-6)
        assert ours["gray_skewness"][n] == pytest.approx(stats.skew(values), abs=1e-6)
        assert ours["gray_kurtosis"][n] == pytest.approx(stats.kurtosis(values), abs=1e-6)


def test_flat_and_tiny_cells():
    labels = np.zeros((6, 6), np.int32)
    labels[0, 0], labels[2:5, 2:5] = 1, 2
    ours = measure_texture(labels, np.full((6, 6, 1), 700, np.uint16), (0.0, 1000.0))
    assert np.isnan(ours["haralick_contrast"]).tolist() == [True, False]
    assert (ours["haralick_correlation"][1], ours["haralick_energy"][1], ours["haralick_entropy"][1]) == (1, 1, 0)
    assert ours["gray_kurtosis"].tolist() == [0, 0]


def test_no_cells():
    found = measure_texture(np.zeros((4, 4), np.int32), np.zeros((4, 4, 3), np.uint8), (0.0, 255.0))
    assert {values.size for values in found.values()} == {0}
