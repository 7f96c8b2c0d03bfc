"""Measures of cells against scikit-image, and outlines against the pixels they enclose."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import polygon2mask
from skimage.measure import regionprops

from organscope.errors import ShapeError, ValueRangeError
from organscope.ops._kernels.regionprops import sum_crossings
from organscope.ops.regionprops import cell_outlines, crofton_perimeter, label_numbers, measure_cells

EIGHT = np.ones((3, 3), bool)


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    """Ragged blobs of all sizes, touching and at the border, with holes and several parts."""
    rng = np.random.default_rng(3)
    smooth = ndimage.gaussian_filter(rng.random((240, 310)), 3)
    blobs, _ = ndimage.label(smooth > np.median(smooth))
    bands = (np.mgrid[:240, :310][1] // 37).astype(np.int32)
    labels = np.where(blobs > 0, blobs * 9 + bands, 0)
    labels[rng.random(labels.shape) < 0.01] = 0
    return labels.astype(np.int32)


@pytest.fixture(scope="module")
def picture(tissue) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 4096, (*tissue.shape, 2)).astype(np.uint16)


def test_measures_equal_scikit_image(tissue, picture):
    ours = measure_cells(tissue, picture)
    theirs = regionprops(tissue, picture)
    assert ours["id"].tolist() == [cell.label for cell in theirs]
    assert ours["area_px"].tolist() == [cell.area for cell in theirs]
    # Sums of the same doubles in another order.
    exact = {"rtol": 1e-12, "atol": 1e-9}
    np.testing.assert_allclose(ours["centroid_y_px"], [cell.centroid[0] for cell in theirs], **exact)
    np.testing.assert_allclose(ours["centroid_x_px"], [cell.centroid[1] for cell in theirs], **exact)
    np.testing.assert_allclose(ours["perimeter_px"], [cell.perimeter for cell in theirs], **exact)
    np.testing.assert_allclose(ours["mean_intensity_1"], [cell.intensity_mean[1] for cell in theirs], **exact)
    np.testing.assert_allclose(ours["solidity"], [cell.solidity for cell in theirs], **exact)
    # The square root near 0 takes a rounding error of 1e-16 to 1e-8.
    np.testing.assert_allclose(ours["eccentricity"], [cell.eccentricity for cell in theirs], rtol=0, atol=1e-7)


@pytest.mark.parametrize("n_pixels", [1, 2, 3, 5])
def test_solidity_of_tiny_cells_equals_scikit_image(n_pixels):
    rng = np.random.default_rng(n_pixels)
    for _ in range(20):
        labels = np.zeros((7, 7), np.int32)
        labels.reshape(-1)[rng.choice(49, n_pixels, replace=False)] = 1
        ours = measure_cells(labels, np.zeros((7, 7, 1), np.uint8))["solidity"]
        assert ours == pytest.approx([regionprops(labels)[0].solidity], abs=1e-12)


def test_a_square_in_micrometers():
    labels = np.zeros((9, 9), np.int32)
    labels[2:6, 3:7] = 1
    cells = measure_cells(labels, np.full((9, 9, 3), 7, np.uint8), um_per_px=(0.5, 0.5))
    assert cells["area_um2"] == pytest.approx([4.0])
    assert cells["perimeter_um"] == pytest.approx([6.0])
    assert (cells["centroid_y_um"][0], cells["centroid_x_um"][0]) == (1.75, 2.25)
    assert cells["eccentricity"] == pytest.approx([0.0])
    assert cells["mean_intensity_2"].tolist() == [7.0]


@pytest.mark.parametrize("size", [(1.0, 0.5), (0.3, 0.65)])
def test_measures_of_pixels_that_are_not_square(tissue, picture, size):
    ours = measure_cells(tissue, picture, size)
    theirs = regionprops(tissue, picture, spacing=size)
    exact = {"rtol": 1e-12, "atol": 1e-9}
    np.testing.assert_allclose(ours["area_um2"], [cell.area for cell in theirs], **exact)
    np.testing.assert_allclose(ours["centroid_y_um"], [cell.centroid[0] for cell in theirs], **exact)
    np.testing.assert_allclose(ours["centroid_x_um"], [cell.centroid[1] for cell in theirs], **exact)
    np.testing.assert_allclose(ours["eccentricity"], [cell.eccentricity for cell in theirs], rtol=0, atol=1e-7)


def test_crofton_perimeter_of_square_pixels_equals_scikit_image(tissue):
    crossings = sum_crossings(*label_numbers(tissue)[:1], np.unique(tissue).size - 1)[1:]
    theirs = [cell.perimeter_crofton for cell in regionprops(tissue)]
    np.testing.assert_allclose(crofton_perimeter(crossings, (1.0, 1.0)), theirs, rtol=1e-9)


@pytest.mark.parametrize("size", [(1.0, 0.5), (0.5, 1.0), (0.4, 0.1), (0.2, 0.7)])
def test_perimeter_of_a_disc_whatever_the_pixels(size):
    y, x = np.mgrid[: int(30 / size[0]), : int(30 / size[1])]
    disc = ((y * size[0] - 14.7) ** 2 + (x * size[1] - 15.1) ** 2 <= 100).astype(np.int32)
    cells = measure_cells(disc, np.zeros((*disc.shape, 1), np.uint8), size)
    assert cells["perimeter_um"] == pytest.approx([2 * np.pi * 10], rel=0.01)
    assert cells["area_um2"] == pytest.approx([np.pi * 100], rel=0.02)
    assert cells["eccentricity"][0] < 0.15


def test_cells_at_the_border_are_marked():
    labels = np.zeros((6, 6), np.int32)
    labels[0, 2], labels[3, 3], labels[4, 5] = 1, 2, 3
    assert measure_cells(labels, np.zeros((6, 6, 1), np.uint8))["touches_border"].tolist() == [
        True,
        False,
        True,
    ]


def test_no_cells_give_empty_columns():
    cells = measure_cells(np.zeros((4, 5), np.int32), np.zeros((4, 5, 3), np.uint8))
    assert {column.shape for column in cells.values()} == {(0,)}


@pytest.mark.parametrize("largest", [50, 2**31 - 1])
def test_labels_with_gaps_keep_their_values(largest):
    labels = np.array([[7, 7, 0], [0, 0, largest]], np.int32)
    cells = measure_cells(labels, np.arange(6, dtype=np.float32).reshape(2, 3, 1))
    assert cells["id"].tolist() == [7, largest]
    assert cells["mean_intensity_0"].tolist() == [0.5, 5.0]
    assert len(cell_outlines(labels)) == 2


def test_labels_without_background():
    labels = np.full((2, 2), 2**30, np.int32)
    assert measure_cells(labels, np.zeros((2, 2, 1), np.uint8))["area_px"].tolist() == [4]


def test_a_image_of_another_size_is_refused():
    with pytest.raises(ShapeError, match="found 4 x 5 and 5 x 4 px"):
        measure_cells(np.zeros((4, 5), np.int32), np.zeros((5, 4, 3), np.uint8))


def test_negative_labels_and_pixel_sizes_are_refused():
    with pytest.raises(ValueRangeError, match="found -3"):
        measure_cells(np.full((2, 2), -3, np.int32), np.zeros((2, 2, 1), np.uint8))
    with pytest.raises(ValueRangeError, match="pixel size above 0"):
        measure_cells(np.zeros((2, 2), np.int32), np.zeros((2, 2, 1), np.uint8), um_per_px=(0.0, 0.5))


def rasterised(outline: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose center lies in the polygon."""
    return polygon2mask(shape, outline[:, ::-1] - 0.5)


def test_filling_an_outline_gives_the_largest_part_back(tissue):
    for cell, outline in zip(np.unique(tissue[tissue > 0])[::3], cell_outlines(tissue)[::3], strict=True):
        parts, n_parts = ndimage.label(tissue == cell)
        # A hole that meets the outside at a corner is open, so it is not filled.
        filled = [ndimage.binary_fill_holes(parts == part, EIGHT) for part in range(1, n_parts + 1)]
        largest = max(mask.sum() for mask in filled)
        assert any(np.array_equal(rasterised(outline, tissue.shape), mask) for mask in filled if mask.sum() == largest)


def test_outline_of_a_pixel_is_its_square():
    labels = np.zeros((4, 5), np.int32)
    labels[2, 3] = 1
    (outline,) = cell_outlines(labels)
    assert outline.dtype == np.int32
    assert sorted(map(tuple, outline[:-1].tolist())) == [(3, 2), (3, 3), (4, 2), (4, 3)]
    assert outline[0].tolist() == outline[-1].tolist()


def test_outline_of_the_largest_part():
    labels = np.zeros((9, 9), np.int32)
    labels[0, 0], labels[1, 1], labels[4:8, 4:8], labels[5, 5] = 1, 1, 1, 0
    (outline,) = cell_outlines(labels)
    assert (outline.min(), outline.max(), len(outline)) == (4, 8, 5)
