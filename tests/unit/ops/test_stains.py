"""Optical densities against scikit-image, and rings against a distance transform."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.color import rgb2hed
from skimage.color import separate_stains as skimage_stains
from skimage.measure import regionprops
from skimage.segmentation import expand_labels

from organscope.errors import ShapeError
from organscope.ops.stains import H_DAB, HED, cell_rings, measure_stains, separate_stains

# scikit-image counts in logarithms to the base 1e-6.
DECADES = 6


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    found, _ = ndimage.label(ndimage.gaussian_filter(np.random.default_rng(1).random((512, 512)), 5) > 0.515)
    return found.astype(np.int32)


def test_densities_equal_scikit_image(colon):
    ours = separate_stains(colon, HED)
    # The vectors of scikit-image have no common length; ours have length 1.
    theirs = rgb2hed(np.maximum(colon, 1)) * DECADES * np.linalg.norm(HED.vectors, axis=1)
    np.testing.assert_allclose(np.maximum(ours, 0), theirs, atol=2e-4)


def test_two_stains_leave_a_third_for_what_is_neither(colon):
    vectors = np.array(H_DAB.vectors) / np.linalg.norm(H_DAB.vectors, axis=1, keepdims=True)
    residual = np.cross(*vectors)
    matrix = np.linalg.inv(np.vstack([vectors, residual / np.linalg.norm(residual)]))
    theirs = skimage_stains(np.maximum(colon, 1), matrix)[..., :2] * DECADES
    np.testing.assert_allclose(np.maximum(separate_stains(colon, H_DAB), 0), theirs, atol=2e-4)


def test_a_pure_stain_is_found_alone():
    vector = np.array(H_DAB.vectors[1]) / np.linalg.norm(H_DAB.vectors[1])
    pixel = np.float32(10 ** (-0.5 * vector)).reshape(1, 1, 3)
    np.testing.assert_allclose(separate_stains(pixel, H_DAB, white=1.0).ravel(), [0, 0.5], atol=1e-6)


def test_means_of_nucleus_and_ring(labels, colon):
    ours = measure_stains(labels, colon, H_DAB)
    density = separate_stains(colon, H_DAB)
    cells = regionprops(labels, density)
    np.testing.assert_allclose(ours["dab_od_nucleus"], [cell.intensity_mean[1] for cell in cells], atol=1e-6)
    rings = cell_rings(labels)
    mean = ndimage.mean(density[..., 0], rings, [cell.label for cell in cells])
    np.testing.assert_allclose(ours["hematoxylin_od_ring"], mean, atol=1e-6)


def test_rings_reach_as_far_as_they_should(labels):
    rings, expanded = cell_rings(labels, (0.5, 0.5), ring_um=2.0), expand_labels(labels, 4)
    np.testing.assert_array_equal(rings > 0, (expanded > 0) & (labels == 0))
    # Where two cells are equally near either may have the pixel.
    assert (rings == expanded)[rings > 0].mean() > 0.95


def test_a_ring_is_as_wide_in_micrometers_along_both_axes():
    labels = np.zeros((41, 41), np.int32)
    labels[20, 20] = 1
    rings = cell_rings(labels, (1.0, 0.5), ring_um=4.0)
    assert (np.ptp(np.nonzero(rings)[0]), np.ptp(np.nonzero(rings)[1])) == (8, 16)


def test_a_cell_without_ring_has_no_value():
    labels = np.ones((8, 8), np.int32)
    labels[3:5, 3:5] = 2
    found = measure_stains(labels, np.full((8, 8, 3), 100, np.uint8))
    assert np.isnan(found["eosin_od_ring"]).all()
    assert np.isfinite(found["eosin_od_nucleus"]).all()


def test_gray_images_have_no_stains(labels):
    with pytest.raises(ShapeError, match="red, green and blue"):
        measure_stains(labels, np.zeros((512, 512, 1), np.uint8))
