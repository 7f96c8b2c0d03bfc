"""Training maps, worked out by hand."""

import numpy as np
import pytest

from organscope.evaluation.metrics.segmentation import segmentation_scores
from organscope.ops.instances import Decoder, decode_cells
from organscope.training.segmentation.data import training_maps


def test_height_is_one_at_the_center_and_small_at_the_edge():
    labels = np.zeros((7, 9), np.int32)
    labels[1:6, 2:7] = 3
    foreground, height = np.moveaxis(training_maps(labels, "distance"), 2, 0)
    assert np.array_equal(foreground > 0, labels > 0)
    # A square of 5 px: the rings are 1, 2 and 3 px from the outside, so 85, 170 and 255 of 255.
    assert [height[3, 2], height[3, 3], height[3, 4]] == [85, 170, 255]
    assert height[0].max() == 0


def test_touching_cells_each_have_their_own_height():
    labels = np.zeros((5, 12), np.int32)
    labels[:, 1:6], labels[:, 6:11] = 1, 2
    height = training_maps(labels, "distance")[2, :, 1]
    assert height[3] == height[8] == 255
    assert height[5] == height[6] < 128


def test_a_cell_at_the_image_border_is_not_cut_there():
    labels = np.zeros((5, 9), np.int32)
    labels[:, :4] = 1
    height = training_maps(labels, "distance")[2, :, 1]
    assert height[0] > height[3]


def test_boundary_lies_between_cells_only():
    labels = np.zeros((9, 20), np.int32)
    labels[:, 1:9], labels[:, 9:18] = 1, 2
    boundary = training_maps(labels, "boundary")[4, :, 1]
    assert boundary[8] == boundary[9] == 255
    assert boundary[2] == boundary[15] == boundary[19] == 0


def test_flow_points_to_the_centroid():
    labels = np.zeros((7, 9), np.int32)
    labels[1:6, 2:7] = 3
    maps = training_maps(labels, "flow").astype(float) / 255
    assert np.array_equal(maps[..., :2], training_maps(labels, "distance") / 255)
    flow = 2 * maps[..., 2:] - 1
    # Half a step of a byte.
    assert flow[1, 4] == pytest.approx([1, 0], abs=0.01)
    assert flow[5, 2] == pytest.approx([-(0.5**0.5), 0.5**0.5], abs=0.01)
    assert flow[3, 4] == pytest.approx([0, 0], abs=0.01)


def test_true_maps_decode_to_the_true_cells():
    """What a perfect network would say becomes the cells that were drawn, whatever the head."""
    y, x = np.mgrid[:80, :100]
    labels = np.zeros((80, 100), np.int32)
    for cell, (cy, cx) in enumerate([(20, 20), (20, 41), (50, 30), (60, 80), (40, 60)], start=1):
        labels[(np.hypot(y - cy, (x - cx) * 0.8) < 11) & (labels == 0)] = cell
    for head in ("distance", "boundary", "flow"):
        maps = training_maps(labels, head).astype(np.float32) / 255
        found = decode_cells(maps, Decoder(head=head, seed_prominence=0.2))
        scores = segmentation_scores(labels, found)
        assert scores["ap_80"] == 1.0
        assert scores["dice"] == 1.0


def test_no_cells_give_empty_maps():
    for head in ("distance", "boundary"):
        assert training_maps(np.zeros((4, 4), np.int32), head).max() == 0
    assert training_maps(np.zeros((4, 4), np.int32), "flow")[..., 2:].min() == 128
