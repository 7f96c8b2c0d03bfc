"""Outlines enclose what they should, and measures keep their bounds, on label images of every shape."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from organscope.ops.regionprops import cell_outlines, measure_cells

masks = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def enclosed_area(outline: np.ndarray) -> float:
    """Shoelace formula."""
    x, y = outline.astype(float).T
    return abs(float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())) / 2


@given(masks)
def test_an_outline_encloses_its_pixels_and_its_holes(mask):
    labels = ndimage.label(mask, output=np.int32)[0]
    outlines = cell_outlines(labels)
    assert len(outlines) == labels.max()
    for cell, outline in enumerate(outlines, start=1):
        # A hole that meets the outside at a corner is open.
        filled = ndimage.binary_fill_holes(labels == cell, np.ones((3, 3), bool))
        assert enclosed_area(outline) == filled.sum()
        assert np.array_equal(outline[0], outline[-1])
        # Every step follows the grid.
        assert ((np.diff(outline, axis=0) == 0).sum(axis=1) == 1).all()


@given(masks, st.integers(1, 3))
def test_measures_keep_their_bounds(mask, n_parts):
    labels = np.where(mask, np.arange(mask.size).reshape(mask.shape) % n_parts + 1, 0).astype(np.int32)
    cells = measure_cells(labels, mask[:, :, None].astype(np.uint8))
    assert cells["area_px"].sum() == mask.sum()
    assert ((cells["solidity"] > 0) & (cells["solidity"] <= 1)).all()
    assert ((cells["eccentricity"] >= 0) & (cells["eccentricity"] <= 1)).all()
    assert (cells["mean_intensity_0"] == 1).all()
