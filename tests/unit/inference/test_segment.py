"""Cells of real and drawn images through a real bundle."""

import numpy as np
import pytest

from organscope.decision import ProbabilityCurve
from organscope.errors import UsageError
from organscope.inference import segment_image
from organscope.models import load_bundle
from tiny_bundles import write_tiny_segmentation


def drawn(discs, shape=(128, 200)) -> np.ndarray:
    """Black discs (y, x, radius) on white, uint8 RGB."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    black = np.zeros(shape, bool)
    for cy, cx, radius in discs:
        black |= np.hypot(y - cy, x - cx) <= radius
    return np.repeat(np.where(black, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def test_every_disc_is_found_where_it_was_drawn(cells_bundle, opened):
    pixels = drawn([(30, 40, 12), (90, 150, 20)])
    found = segment_image(opened(pixels), cells_bundle)
    assert found.labels.dtype == np.int32
    assert np.array_equal(found.labels > 0, pixels[:, :, 0] == 0)
    assert found.labels[30, 40] == 1
    assert found.labels[90, 150] == 2
    # sigmoid(12 * 0.5) for black.
    assert found.probability == pytest.approx([1 / (1 + np.exp(-6))] * 2, abs=1e-5)
    assert found.seconds > 0


def test_gray_and_16_bit_give_the_same_cells(cells_bundle, opened):
    pixels = drawn([(30, 40, 12), (90, 150, 20)])
    expected = segment_image(opened(pixels), cells_bundle).labels
    assert np.array_equal(segment_image(opened(pixels[:, :, 0]), cells_bundle).labels, expected)
    deep = pixels.astype(np.uint16) * 257
    assert np.array_equal(segment_image(opened(deep), cells_bundle).labels, expected)


def test_tiles_do_not_change_the_cells(colon, cells_bundle, opened):
    image = opened(colon)
    whole = segment_image(image, cells_bundle, max_tile_px=None)
    tiled = segment_image(image, cells_bundle, max_tile_px=10_000)
    assert whole.labels.max() > 100
    assert np.array_equal(tiled.labels, whole.labels)
    assert np.array_equal(tiled.probability, whole.probability)


def test_the_calibration_of_the_bundle_is_applied(tmp_path, cells_bundle, opened):
    spec = cells_bundle.manifest.spec.model_copy(
        update={"cell_calibration": ProbabilityCurve(x=(0.0, 1.0), y=(0.0, 0.5))}
    )
    bundle = load_bundle(write_tiny_segmentation(tmp_path / "calibrated", spec=spec))
    image = opened(drawn([(30, 40, 12)]))
    raw = segment_image(image, cells_bundle).probability
    assert segment_image(image, bundle).probability == pytest.approx(raw / 2)


def test_progress_rises_to_one(colon, cells_bundle, opened):
    told = []
    segment_image(opened(colon), cells_bundle, max_tile_px=50_000, progress=told.append)
    assert told == sorted(told)
    assert len(told) > 4
    assert told[-1] == 1.0


def test_a_bundle_for_organs_is_refused(colon, organs_bundle, opened):
    with pytest.raises(UsageError, match="Expected a bundle for segmentation"):
        segment_image(opened(colon), organs_bundle)
